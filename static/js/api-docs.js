/* Swagger UI has a dark mode of its own, switched by a class: keep it in step with ours. */
(() => {
  "use strict";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    const theme = root.dataset.theme;
    root.classList.toggle("dark-mode", theme === "dark" || (theme !== "light" && system.matches));
  };
  document.addEventListener("themechange", follow);
  follow();
})();
