// What a user of OpenAI's own client does: see scenarios.mjs.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { baseUrl, collect, messages, model, run, statusOf, whenBusy } from "./scenarios.mjs";

const connect = (options = {}) => new OpenAI({ baseURL: `${baseUrl}/v1`, apiKey: "unused", maxRetries: 0, ...options });
const client = connect();
const seeded = { model, temperature: 1, seed: 5 };

await run({
  async models() {
    const listed = await client.models.list();
    assert.deepEqual(listed.data.map((one) => one.id), [model]);
    assert.equal((await client.models.retrieve(model)).id, model);
  },

  async chatStreamedOrNot() {
    const body = { ...seeded, messages, max_completion_tokens: 24 };
    const whole = await client.chat.completions.create(body);
    const chunks = await collect(await client.chat.completions.create(
      { ...body, stream: true, stream_options: { include_usage: true } }));
    assert.equal(whole.object, "chat.completion");
    assert.equal(whole.choices[0].message.role, "assistant");
    assert.equal(chunks[0].choices[0].delta.role, "assistant");
    const text = chunks.map((one) => one.choices[0]?.delta.content ?? "").join("");
    assert.ok(text.length > 0);
    assert.equal(text, whole.choices[0].message.content);
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.deepEqual(chunks.at(-1).usage, whole.usage);
    assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);
  },

  async completionsWithChoices() {
    const body = { ...seeded, prompt: ["Once", "The dog"], max_tokens: 12 };
    const one = await client.completions.create(body);
    const two = await client.completions.create({ ...body, n: 2, echo: true });
    assert.deepEqual(two.choices.map((choice) => choice.index), [0, 1, 2, 3]);
    assert.equal(two.choices[0].text, "Once" + one.choices[0].text);
    assert.equal(two.choices[2].text, "The dog" + one.choices[1].text);
    assert.notEqual(two.choices[1].text, two.choices[0].text);
    assert.equal(two.usage.prompt_tokens, one.usage.prompt_tokens);
    const chunks = await collect(await client.completions.create({ ...body, n: 2, stream: true }));
    for (const { index, text } of two.choices) {
      const streamed = chunks.filter((chunk) => chunk.choices[0].index === index).map((chunk) => chunk.choices[0].text);
      assert.ok(text.endsWith(streamed.join("")));
    }
  },

  async logprobs() {
    const text = await client.completions.create({ model, prompt: "Once", temperature: 0, max_tokens: 8, logprobs: 2 });
    const { tokens, token_logprobs, top_logprobs } = text.choices[0].logprobs;
    assert.equal(tokens.join(""), text.choices[0].text);
    for (const [i, token] of tokens.entries()) {
      assert.equal(top_logprobs[i][token], Math.max(...Object.values(top_logprobs[i])));
      assert.ok(token_logprobs[i] <= 0);
    }
    const chat = await client.chat.completions.create(
      { ...seeded, messages, max_tokens: 8, logprobs: true, top_logprobs: 3 });
    const content = chat.choices[0].logprobs.content;
    assert.ok(content.length > 0);
    assert.ok(content.every((one) => one.top_logprobs.length === 3 && one.logprob <= one.top_logprobs[0].logprob));
    const best = await client.completions.create({ ...seeded, prompt: "Once", max_tokens: 8, best_of: 3 });
    assert.equal(best.choices.length, 1);
    assert.equal(best.choices[0].logprobs, null);
  },

  async penalties() {
    const body = { model, prompt: "The cat and the cat and the cat", temperature: 0, max_tokens: 60 };
    const plain = await client.completions.create(body);
    const penalised = { ...body, frequency_penalty: 2, presence_penalty: 1 };
    const [one, other] = await Promise.all([1, 2].map(() => client.completions.create(penalised)));
    assert.equal(one.choices[0].text, other.choices[0].text);
    assert.notEqual(one.choices[0].text, plain.choices[0].text);
  },

  async errors() {
    const hot = await client.chat.completions.create({ model, messages, temperature: 5 }).catch((error) => error);
    assert.ok(hot instanceof OpenAI.BadRequestError);
    assert.deepEqual([hot.status, hot.param, hot.type], [400, "temperature", "invalid_request_error"]);
    const json = await client.chat.completions.create(
      { model, messages, response_format: { type: "json_object" } }).catch((error) => error);
    assert.deepEqual([json.status, json.param], [400, "response_format"]);
    const tools = await client.chat.completions.create(
      { model, messages, tools: [{ type: "function", function: { name: "f" } }] }).catch((error) => error);
    assert.deepEqual([tools.status, tools.param], [400, "tools"]);
    const other = await client.completions.create({ model: "gpt-4", prompt: "a" }).catch((error) => error);
    assert.ok(other instanceof OpenAI.NotFoundError);
  },

  async cancellation() {
    const stream = await client.completions.create({ ...seeded, prompt: "Once", max_tokens: 900, stream: true });
    let id;
    for await (const chunk of stream) {
      id = chunk.id;
      break;
    }
    stream.controller.abort();
    assert.equal(await statusOf(id), "cancelled");
  },

  async retriesWhenBusy() {
    const busy = await client.completions.create({ model, prompt: "a", n: 5, max_tokens: 400 }).catch((error) => error);
    assert.ok(busy instanceof OpenAI.RateLimitError);
    assert.ok(Number(busy.headers.get("retry-after")) > 0);
    const answer = await whenBusy((fetch) =>
      connect({ maxRetries: 1, fetch }).completions.create({ model, prompt: "Once", max_tokens: 4 }));
    assert.equal(answer.choices.length, 1);
  },
});
