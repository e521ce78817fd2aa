import os
import sys
import unittest

from netops.render import RenderError, names, render

PACK = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir)
VALUES = {
    "name": "sw1",
    "domain": "example",
    "dns": {"servers": ["10.0.0.2", "10.0.0.3"]},
    "mgmt": {"address": "10.0.0.10/24", "gateway": "10.0.0.1"},
    "contact": "noc@example.org",
}


class RenderTest(unittest.TestCase):
    def test_values_and_lists(self):
        self.assertEqual(render("a ${dns.servers} $name", VALUES), "a 10.0.0.2 10.0.0.3 sw1")

    def test_everything_missing_is_said_at_once(self):
        with self.assertRaisesRegex(RenderError, "no value for b, dns.third"):
            render("${name} ${dns.third} $b", VALUES)

    def test_a_dollar_of_its_own(self):
        self.assertEqual(render("$$5", {}), "$5")
        with self.assertRaisesRegex(RenderError, "broken"):
            render("$ 5", {})

    def test_a_value_cannot_add_lines(self):
        with self.assertRaisesRegex(RenderError, "name has more than one line"):
            render("$name", {"name": "sw1\nno firewall"})


class TemplatesTest(unittest.TestCase):
    """The templates that come with the pack."""

    @classmethod
    def setUpClass(cls):
        sys.path.insert(0, os.path.join(PACK, "actions"))
        from render_config import run

        cls.run_action = staticmethod(run)

    def test_the_access_switch(self):
        text = self.run_action("access_switch", VALUES)
        self.assertTrue(text.startswith("hostname sw1\n"))
        self.assertIn('costs $5 a month; ask noc@example.org"', text)
        self.assertNotIn("${", text)

    def test_what_it_asks_for(self):
        with open(os.path.join(PACK, "templates", "access_switch.conf"), encoding="utf-8") as stream:
            asked = names(stream.read())
        self.assertEqual(asked, {"name", "domain", "dns.servers", "mgmt.address", "mgmt.gateway", "contact"})

    def test_a_template_is_no_path(self):
        for name in ("../pack", "/etc/passwd", "none", ""):
            with self.subTest(name=name), self.assertRaises(RenderError):
                self.run_action(name, VALUES)

    @unittest.skip("the vendor has not said yet how it spells this")
    def test_the_core_router(self):
        self.run_action("core_router", VALUES)
