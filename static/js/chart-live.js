/* Following something that changes: quickly while it is looked at, seldom while hidden, less and less after failures. */

const POLL_MS = 2000;
const HIDDEN_MS = 15_000;
const SLOWEST_MS = 60_000;

/** How long to wait until the next look. */
export function waitFor(failures, hidden) {
  if (failures) return Math.min(SLOWEST_MS, POLL_MS * 2 ** failures);
  return hidden ? HIDDEN_MS : POLL_MS;
}

/** Call `look()` again and again until it answers false. `notice(text)` is told what a person should know; "" is nothing.

    A page that comes back into sight looks at once. One that was signed out stops. */
export function follow(look, notice) {
  let failures = 0;
  let timer = null;

  const next = async () => {
    timer = null;
    try {
      if ((await look()) === false) {
        document.removeEventListener("visibilitychange", seen);
        notice("");
        return;
      }
      failures = 0;
      notice("");
    } catch (error) {
      failures += 1;
      if (error.status === 401 || error.status === 403) {
        document.removeEventListener("visibilitychange", seen);
        notice("You are signed out. Load the page again to sign in.");
        return;
      }
      const seconds = Math.round(waitFor(failures, false) / 1000);
      notice(`The numbers below may be old: the site does not answer (${error.message}). Trying again in ${seconds} s.`);
    }
    timer = setTimeout(next, waitFor(failures, document.hidden));
  };
  const seen = () => {
    if (document.hidden || timer === null) return;
    clearTimeout(timer);
    next();
  };
  document.addEventListener("visibilitychange", seen);
  return next();
}
