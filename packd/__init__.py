"""packd watches a folder of packs, tests what is dropped there and makes the good ones active."""

from typing import Final

__version__: Final = "0.1.0"
