"""Cut a network into subnets of different sizes."""

import ipaddress


class PlanError(ValueError):
    """The network is too small, or the wish makes no sense."""


def plan(network, wishes):
    """A subnet for every name in `wishes` (name: number of hosts), the largest first so that nothing is wasted.

    Returns name: network in the order of the addresses. Each subnet holds its hosts beside the network's own address
    and the broadcast address; point-to-point links of two hosts take a /31 (RFC 3021).
    """
    whole = ipaddress.ip_network(network)
    for name, hosts in wishes.items():
        if isinstance(hosts, bool) or not isinstance(hosts, int) or hosts < 1:
            raise PlanError("{}: {!r} is no number of hosts".format(name, hosts))
    position = int(whole.network_address)
    last = position + whole.num_addresses
    planned = {}
    for name, hosts in sorted(wishes.items(), key=lambda wish: (-wish[1], wish[0])):
        size = _addresses(hosts)
        position = -(-position // size) * size
        if position + size > last:
            raise PlanError("{} has no room for {} with {} hosts".format(whole, name, hosts))
        prefix = whole.max_prefixlen - (size.bit_length() - 1)
        planned[name] = type(whole)((position, prefix))
        position += size
    return planned


def free(network, planned):
    """What is left of the network, as few pieces as possible."""
    left = [ipaddress.ip_network(network)]
    for taken in planned.values():
        left = [piece for whole in left for piece in _without(whole, taken)]
    return sorted(left)


def _without(whole, taken):
    if not whole.overlaps(taken):
        return [whole]
    return [] if whole == taken else list(whole.address_exclude(taken))


def _addresses(hosts):
    """The next power of two that holds them."""
    wanted = hosts if hosts <= 2 else hosts + 2
    return 1 << (wanted - 1).bit_length()
