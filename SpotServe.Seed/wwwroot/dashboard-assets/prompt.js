// The prompt box: one stream of POST /v1/completions at a time, shown as it comes. Whatever the server says is put into
// the page as text, never as HTML.
const byId = (id) => document.getElementById(id);
const form = byId("prompt-form");
const answer = byId("prompt-answer");
const facts = byId("prompt-facts");
const send = byId("prompt-send");
const stop = byId("prompt-stop");
const followsWithin = 40; // pixels from the end within which a reader is taken to follow it

let running = null;

const epochNow = () => byId("cluster")?.dataset.epoch ?? "0";
const seconds = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

/** Server-sent events of a response, one by one. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const whole = rest.split("\n\n");
    rest = whole.pop();
    for (const event of whole) {
      const fields = { event: "message", data: "" };
      for (const line of event.split("\n")) {
        const colon = line.indexOf(": ");
        if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
      }
      yield fields;
    }
  }
}

/** Where the text goes; a new piece begins where the layout changed, and its mark is no part of the text. */
function pieces() {
  let epoch = epochNow();
  let piece = document.createElement("span");
  answer.replaceChildren(piece);
  return (text) => {
    const follows = answer.scrollHeight - answer.scrollTop - answer.clientHeight < followsWithin;
    if (epoch !== epochNow()) {
      epoch = epochNow();
      piece = document.createElement("span");
      piece.className = "moved";
      piece.dataset.epoch = `layout ${byId("cluster").dataset.degrees}`;
      answer.append(piece);
    }
    piece.append(text);
    if (follows) answer.scrollTop = answer.scrollHeight;
  };
}

function tell(count, began, first, longest, end) {
  const now = performance.now();
  const rate = count > 1 ? ((count - 1) / (now - first)) * 1000 : 0;
  facts.textContent = count === 0
    ? `${end} ${seconds(now - began)} without a token.`
    : `${end} ${count} tokens; the first after ${seconds(first - began)}, then ${rate.toFixed(0)} a second; ` +
      `longest gap ${seconds(longest)}.`;
}

/** The key that the reader gave, where the server asks for one; the page keeps it no longer than it is open. */
function headers() {
  const key = byId("prompt-key").value;
  return key === ""
    ? { "Content-Type": "application/json" }
    : { "Content-Type": "application/json", Authorization: `Bearer ${key}` };
}

function askForKey() {
  byId("prompt-key-row").hidden = false;
  byId("prompt-key").focus();
}

async function stream(body, signal) {
  const show = pieces();
  const began = performance.now();
  let count = 0, first = 0, last = 0, longest = 0, end = "Stopped:";
  const timer = setInterval(() => tell(count, began, first, Math.max(longest, gap()), "Streaming:"), 500);
  const gap = () => (count > 0 ? performance.now() - last : 0);
  try {
    const response = await fetch("/v1/completions", {
      method: "POST", signal, headers: headers(), body: JSON.stringify(body),
    });
    if (!response.ok) {
      const error = await response.json().catch(() => null);
      end = `Refused (${response.status}): ${error?.error?.message ?? "no reason given"}`;
      if (response.status === 401) askForKey();
      return;
    }
    end = "The connection ended:";
    for await (const { event, data } of events(response)) {
      if (data === "[DONE]") { end = "Done:"; break; }
      const chunk = JSON.parse(data);
      if (event === "error") { end = `${chunk.error?.message ?? "It failed."}`; break; }
      const now = performance.now();
      const text = chunk.choices?.[0]?.text ?? "";
      if (text === "") continue;
      if (count === 0) first = now;
      else longest = Math.max(longest, now - last);
      last = now;
      count += 1;
      show(text);
    }
  } catch (error) {
    end = signal.aborted ? "Stopped:" : `The connection broke (${error.message}):`;
  } finally {
    clearInterval(timer);
    tell(count, began, first, longest, end);
    answer.dataset.state = end === "Done:" ? "done" : "ended";
  }
}

form.addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  if (running) return;
  running = new AbortController();
  send.disabled = true;
  stop.disabled = false;
  answer.dataset.state = "streaming";
  try {
    await stream({
      model: form.dataset.model,
      prompt: byId("prompt-text").value,
      max_tokens: Number(byId("prompt-tokens").value),
      temperature: Number(byId("prompt-temperature").value),
      ignore_eos: byId("prompt-past-end").checked,
      stream: true,
    }, running.signal);
  } finally {
    running = null;
    send.disabled = false;
    stop.disabled = true;
  }
});

stop.addEventListener("click", () => running?.abort());
