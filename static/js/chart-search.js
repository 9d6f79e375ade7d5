/* The search box of the charts tab: shows the charts whose title or metrics hold what is typed. */

const box = document.querySelector("[data-chart-search]");
const count = document.querySelector("[data-chart-count]");
const cards = [...document.querySelectorAll("[data-chart-card]")];
const sections = [...document.querySelectorAll("[data-chart-section]")];

function search() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const card of cards) {
    const text = card.dataset.chartCard.toLowerCase();
    card.hidden = !words.every((word) => text.includes(word));
  }
  for (const section of sections) section.hidden = !section.querySelector("[data-chart-card]:not([hidden])");
  const shown = cards.filter((card) => !card.hidden).length;
  count.textContent = words.length ? `${shown} of ${cards.length} charts${shown ? "" : ": no metric is called that"}` : `${cards.length} chart${cards.length === 1 ? "" : "s"}`;
}

box.addEventListener("input", search);
// A browser may bring back what was typed.
search();
