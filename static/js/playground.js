/* The playground: shows what is written while it is written, and puts held-out prompts into the form. */

const WRITING_MS = 350;
const HIDDEN_MS = 5000;
const SLOWEST_MS = 30_000;

const place = document.querySelector("[data-pair]");
const form = document.querySelector("[data-playground-form]");
const notice = document.querySelector("[data-live-notice]");

function tell(text) {
  notice.textContent = text;
  notice.hidden = !text;
}

/** What a person has opened, scrolled and focused stays so when the part is drawn anew. */
function keepView(before, after) {
  const opened = [...before.querySelectorAll("details")].map((one) => one.open);
  [...after.querySelectorAll("details")].forEach((one, at) => {
    if (opened[at]) one.open = true;
  });
  const windows = [...after.querySelectorAll(".table-scroll, pre")];
  const held = [...before.querySelectorAll(".table-scroll, pre")].map((one) => [one.scrollTop, one.scrollLeft]);
  const focus = [...before.querySelectorAll("a, button, summary, [tabindex]")].indexOf(document.activeElement);
  before.replaceWith(after);
  windows.forEach((one, at) => held[at] && one.scrollTo(held[at][1], held[at][0]));
  if (focus >= 0) [...after.querySelectorAll("a, button, summary, [tabindex]")][focus]?.focus({ preventScroll: true });
}

/** Look once; false: nothing more comes. */
async function look() {
  const shown = place.querySelector("[data-mark]");
  const answer = await fetch(`${place.dataset.url}?seen=${shown.dataset.mark}`, { credentials: "same-origin" });
  if (answer.redirected || answer.status === 403) throw Object.assign(new Error("signed out"), { final: true });
  if (answer.status === 404) throw Object.assign(new Error("it was deleted"), { final: true });
  if (!answer.ok) throw new Error(`error ${answer.status}`);
  if (answer.status === 204) return true;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = document.adoptNode(page.querySelector("[data-mark]"));
  keepView(shown, fresh);
  return fresh.dataset.open === "true";
}

/** The list below still has it as it was when the page was loaded. */
async function renewList() {
  const answer = await fetch(window.location.href, { credentials: "same-origin" });
  if (!answer.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const [before, after] = [document, page].map((one) => one.querySelector('[aria-labelledby="asked-before"]'));
  if (before && after && !before.contains(document.activeElement)) before.replaceWith(document.adoptNode(after));
}

async function follow() {
  let failures = 0;
  for (;;) {
    const wait = failures ? Math.min(SLOWEST_MS, WRITING_MS * 2 ** failures) : document.hidden ? HIDDEN_MS : WRITING_MS;
    await new Promise((done) => setTimeout(done, wait));
    try {
      if (!(await look())) {
        tell("");
        await renewList();
        return;
      }
      failures = 0;
      tell("");
    } catch (error) {
      if (error.final) return tell(`This page follows no further: ${error.message}. Load it again.`);
      failures += 1;
      tell(`The site does not answer (${error.message}); what stands here may be old. Trying again.`);
    }
  }
}

function fillIn(link) {
  form.elements.prompt.value = link.dataset.prompt;
  form.elements.expected_answer.value = link.dataset.answer;
  form.elements.trace_hash.value = link.dataset.trace;
  form.elements.prompt.focus();
}

if (place?.querySelector('[data-open="true"]')) follow();
form?.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-prompt]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  fillIn(link);
});
form?.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
