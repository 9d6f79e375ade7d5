/* Steps through prompts (j, k or the arrows up and down) and evaluations ([ and ]) without loading the page anew.

   Every key follows an address that the page itself names, so that all of it works by links too. */
const KEYS = { j: "keyJ", k: "keyK", ArrowDown: "keyJ", ArrowUp: "keyK", "[": "keyBefore", "]": "keyAfter" };
const WRITES = "input, select, textarea, [contenteditable]";
// Scrollable places keep their arrow keys.
const SCROLLS = ".table-scroll, pre, [role=region]";

const spoken = document.createElement("p");
spoken.className = "visually-hidden";
spoken.setAttribute("role", "status");
document.querySelector("[data-samples]").before(spoken);
let asked = 0;

/** Bring the column of the chosen evaluation, and its row in the history, into their windows. */
function reveal(root) {
  for (const [window, chosen] of [
    [".samples-list .table-scroll", "thead th.chosen"],
    [".moments-scroll", "tr.chosen"],
  ]) {
    const place = root.querySelector(window);
    const target = place?.querySelector(chosen);
    if (!target) continue;
    const box = target.getBoundingClientRect();
    const frame = place.getBoundingClientRect();
    place.scrollLeft += box.width < frame.width ? box.left - frame.left - frame.width * 0.7 : 0;
    place.scrollTop += box.top - frame.top - frame.height / 2;
  }
}

reveal(document);

async function show(address, { remember = true } = {}) {
  asked += 1;
  const turn = asked;
  try {
    const response = await fetch(address, { credentials: "same-origin" });
    if (!response.ok || response.redirected) throw new Error(String(response.status));
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.querySelector("[data-samples]");
    if (!fresh) throw new Error("no samples");
    // A later key has asked for something else since.
    if (turn !== asked) return;
    const held = document.querySelector("[data-samples]");
    held.replaceWith(document.adoptNode(fresh));
    reveal(fresh);
    if (remember) history.pushState({ samples: true }, "", address);
    spoken.textContent = `${fresh.querySelector("[data-place]")?.innerText ?? ""}, ${fresh.querySelector(".sample-verdict")?.innerText ?? ""}`;
  } catch {
    // Whatever is wrong, the page itself tells it.
    location.assign(address);
  }
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  if (event.target.closest(WRITES) || (event.key.startsWith("Arrow") && event.target.closest(SCROLLS))) return;
  const address = document.querySelector("[data-samples]").dataset[KEYS[event.key]];
  if (!address) return;
  event.preventDefault();
  show(new URL(address, location.href).href);
});

window.addEventListener("popstate", () => show(location.href, { remember: false }));
