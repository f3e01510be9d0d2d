// Requests to the program that served this page.

const TIMEOUT = 20_000;
const AGAIN = 2_000;
// The program waits until there is something new; this is for the case that it does not.
const LEAST = 250;

const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

/// Waits until the page is looked at.
function visible() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    const seen = () => {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", seen);
      resolve();
    };
    document.addEventListener("visibilitychange", seen);
  });
}

/// A document. Fails with a text for people.
export async function get(path) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) });
  } catch {
    throw new Error("kubectl tributary ui does not answer: it has ended, or hangs.");
  }
  if (!response.ok) throw new Error(`${response.status}: ${(await response.text()).trim()}`);
  return response.json();
}

/// Follows something that is read again and again, for ever. `seen` gets each answer, `lost` each failure to get one.
export async function follow(path, { seen, lost, wanted = () => true }) {
  let known = 0;
  for (;;) {
    await visible();
    if (!wanted()) {
      await pause(LEAST);
      continue;
    }
    try {
      const answer = await get(`${path}?after=${known}`);
      known = answer.number;
      seen(answer);
      await pause(LEAST);
    } catch (error) {
      lost(error);
      await pause(AGAIN);
    }
  }
}
