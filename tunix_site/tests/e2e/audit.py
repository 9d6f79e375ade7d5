"""Looks at a page as a demanding person does: at every width, light and dark, with axe's rules of access."""

from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any
from urllib.parse import urlparse

from django.urls import resolve

from tunix_site.tests.browser import WIDTHS, Site, fits, shoot

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
# What axe finds, one line each; rules that differ in taste only are left out by their impact.
ASK = """async ([only, without]) => {
  const rules = Object.fromEntries(without.map((rule) => [rule, { enabled: false }]));
  // Without reading every style sheet once more, which only a rule about locked screens needs.
  const options = { resultTypes: ["violations"], rules, preload: false, iframes: false };
  if (only.length) options.runOnly = { type: "rule", values: only };
  const { violations } = await axe.run(document, options);
  const grave = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  const words = ({ target, failureSummary }) =>
    `${target.join(" ")}: ${failureSummary.split("\\n").slice(1, 3).join(" ")}`;
  return grave.flatMap(({ id, impact, nodes }) =>
    nodes.slice(0, 3).map((node) => `${id} (${impact}, ${nodes.length}): ${words(node)}`));
}"""
WIDEST = """() => {
  const edge = document.documentElement.clientWidth;
  const wide = [...document.querySelectorAll("body *")].filter((one) => {
    const box = one.getBoundingClientRect();
    return box.width && box.right > edge + 1 && !one.closest(".table-scroll, pre, .tabs, .site-nav");
  });
  return wide.slice(0, 3).map((one) => `${one.tagName}.${one.className}`).join(", ");
}"""
# The admin's own sheet lets colours fade.
DRAWN = """async () => {
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
  await frame();
  while (document.getAnimations().some((one) => one.playState === "running")) await frame();
}"""
# What only another author could mend.
NOT_OURS = {"/api/docs": ["nested-interactive"]}


@dataclass
class Audit:
    """Opens pages one after the other and keeps what is wrong with them, so that one trial tells all of it.

    ``at``: the widths at which axe looks, too; one is enough for colours and names.
    """

    site: Site
    page: Any
    state: str
    at: tuple[str, ...] = ("laptop",)
    findings: list[str] = field(default_factory=list)
    visited: set[str] = field(default_factory=set)

    def look(self, paths: dict[str, str]) -> None:
        """Open pages by the names that pictures and findings give them."""
        for name, path in paths.items():
            self.page.emulate_media(color_scheme="light")
            self.page.set_viewport_size({"width": WIDTHS["laptop"], "height": 900})
            self.page.goto(path)
            self.visited.add(resolve(path.split("?")[0]).view_name)
            self.examine(name)

    def examine(self, name: str) -> None:
        """Look at the open page."""
        self.site.settle(self.page)
        self.page.evaluate(AXE)
        for theme in ("light", "dark"):
            self.page.emulate_media(color_scheme=theme)
            for width, pixels in WIDTHS.items():
                # A theme changes no measure, so the second one needs one width alone.
                if theme == "dark" and width not in self.at:
                    continue
                self.page.set_viewport_size({"width": pixels, "height": 900})
                self.page.evaluate(DRAWN)
                self._examine(name, width, theme)

    def _ask(self, theme: str) -> list[str]:
        # Names, roles and order are the same in both themes; only colours are not.
        rules = ["color-contrast"] if theme == "dark" else []
        without = NOT_OURS.get(urlparse(self.page.url).path, [])
        return list(self.page.evaluate(ASK, [rules, without if theme == "light" else []]))

    def _examine(self, name: str, width: str, theme: str) -> None:
        where = f"{self.state} {name} {width} {theme}"
        if not fits(self.page):
            self.findings.append(f"{where}: scrolls sideways; {self.page.evaluate(WIDEST)}")
        if width in self.at:
            self.findings += [f"{where}: {found}" for found in self._ask(theme)]
        shoot(self.page, f"{self.state}-{name}-{width}-{theme}")

    def expect(self, status: int) -> None:
        """Take a page that answers ``status``, which the browser names in its console."""
        self.site.complaints[:] = [one for one in self.site.complaints if f"status of {status}" not in one]
