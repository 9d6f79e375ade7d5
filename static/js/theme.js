/* Light, dark or as the system has it. Runs before the first paint, so that no page flashes;
   the choice is kept under the key that Django's admin uses too, so both agree. */
(() => {
  "use strict";
  const MODES = ["auto", "light", "dark"];
  const LABELS = { auto: "as the system", light: "light", dark: "dark" };
  const root = document.documentElement;

  const stored = () => {
    try {
      const mode = localStorage.getItem("theme");
      return MODES.includes(mode) ? mode : "auto";
    } catch {
      return "auto";
    }
  };

  const apply = (mode) => {
    if (mode === "auto") delete root.dataset.theme;
    else root.dataset.theme = mode;
    for (const button of document.querySelectorAll("[data-theme-switch]")) {
      const next = MODES[(MODES.indexOf(mode) + 1) % MODES.length];
      const label = `Theme: ${LABELS[mode]}. Switch to ${LABELS[next]}`;
      button.setAttribute("aria-label", label);
      button.title = label;
    }
    document.dispatchEvent(new CustomEvent("themechange"));
  };

  apply(stored());
  document.addEventListener("DOMContentLoaded", () => {
    apply(stored());
    for (const button of document.querySelectorAll("[data-theme-switch]")) {
      button.addEventListener("click", () => {
        const mode = MODES[(MODES.indexOf(stored()) + 1) % MODES.length];
        try {
          localStorage.setItem("theme", mode);
        } catch {
          /* Private windows may refuse storage: the choice then holds for this page. */
        }
        apply(mode);
      });
    }
  });
  window.addEventListener("storage", (event) => event.key === "theme" && apply(stored()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(stored()));
})();
