/* Numbered lines of a log: the one that the address names is brought into sight within its box. */
const box = document.querySelector("[data-lines]");
const target = box?.querySelector("[aria-current]")?.closest(".numbered-line");
if (target) box.scrollTop = target.offsetTop - box.offsetTop - box.clientHeight / 2;
