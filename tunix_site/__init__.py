"""The site: settings, addresses, people, tokens, and what the apps share."""

__version__ = "0.1.0"
