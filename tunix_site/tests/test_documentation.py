"""The page on settings names every variable that the settings read, and no other."""

import re

from django.conf import settings

READER = re.compile(r'env\.\w+\(\s*"([A-Z_]+)"')
ROW = re.compile(r"^\| `([A-Z_]+)` \|", re.MULTILINE)


def test_every_setting_is_documented():
    read = set(READER.findall((settings.BASE_DIR / "tunix_site" / "settings.py").read_text()))
    documented = set(ROW.findall((settings.BASE_DIR / "docs" / "settings.md").read_text()))
    assert read == documented
