// What the scripts of the clients have in common: node SCRIPT BASE_URL MODEL, against a cluster that takes 4 open
// requests. Prints "ok" and a name for each scenario; the first that fails ends the script.
import assert from "node:assert/strict";

const openRequestsMax = 4;
export const [baseUrl, model] = process.argv.slice(2);
export const messages = [{ role: "user", content: "Once upon a time" }];

export async function collect(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}

/** How a request ended, once it has. */
export async function statusOf(id) {
  for (;;) {
    const { status } = await (await fetch(`${baseUrl}/v1/requests/${id}`)).json();
    if (status !== "in_progress") return status;
  }
}

/** Takes all places until it is released. */
async function crowd() {
  const response = await fetch(`${baseUrl}/v1/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ prompt: "Once", n: openRequestsMax, max_tokens: 900, ignore_eos: true, stream: true }),
  });
  assert.equal(response.status, 200);
  const ids = response.headers.get("x-spotserve-request-id").split(", ");
  assert.equal(ids.length, openRequestsMax);
  return async () => {
    await response.body.cancel();
    for (const id of ids) await fetch(`${baseUrl}/v1/requests/${id}`, { method: "DELETE" });
  };
}

/** Runs a request while all places are taken; they get free before the client hears that they are. */
export async function whenBusy(ask) {
  const release = await crowd();
  const statuses = [];
  const counting = async (...request) => {
    const response = await fetch(...request);
    statuses.push(response.status);
    if (response.status === 429) {
      assert.ok(Number(response.headers.get("retry-after")) > 0);
      await release();
    }
    return response;
  };
  const answer = await ask(counting);
  assert.deepEqual(statuses, [429, 200]);
  return answer;
}

export async function run(scenarios) {
  for (const [name, scenario] of Object.entries(scenarios)) {
    await scenario();
    console.log(`ok ${name}`);
  }
}
