// What a user of the AI SDK does with its provider for servers that speak as OpenAI's: see scenarios.mjs. It reads one
// choice of an answer, so that n is not its to ask.
import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, streamText } from "ai";
import { baseUrl, collect, messages, model, run, statusOf, whenBusy } from "./scenarios.mjs";

const connect = (options = {}) => createOpenAICompatible(
  { name: "spotserve", baseURL: `${baseUrl}/v1`, apiKey: "unused", includeUsage: true, ...options });
const provider = connect();
const seeded = { messages, temperature: 1, seed: 5, maxRetries: 0 };

async function streamed(request) {
  const stream = streamText(request);
  const text = (await collect(stream.textStream)).join("");
  return { text, usage: await stream.usage, finishReason: await stream.finishReason };
}

async function isTheSameStreamedOrNot(languageModel) {
  const request = { ...seeded, model: languageModel, maxOutputTokens: 16 };
  const whole = await generateText(request);
  const stream = await streamed(request);
  assert.ok(whole.text.length > 0);
  assert.equal(stream.text, whole.text);
  assert.equal(stream.finishReason, whole.finishReason);
  assert.equal(whole.usage.outputTokens, 16);
  for (const name of ["inputTokens", "outputTokens", "totalTokens"])
    assert.equal(stream.usage[name], whole.usage[name]);
}

await run({
  chat: () => isTheSameStreamedOrNot(provider.chatModel(model)),

  completion: () => isTheSameStreamedOrNot(provider.completionModel(model)),

  async logprobs() {
    const { response } = await generateText({
      ...seeded, model: provider.chatModel(model), maxOutputTokens: 4,
      providerOptions: { spotserve: { logprobs: true, top_logprobs: 2 } },
    });
    const { content } = response.body.choices[0].logprobs;
    assert.ok(content.length > 0 && content.every((one) => one.top_logprobs.length === 2));
  },

  async errors() {
    const hot = await generateText({ ...seeded, model: provider.chatModel(model), temperature: 5 })
      .catch((error) => error);
    assert.ok(APICallError.isInstance(hot));
    assert.deepEqual([hot.statusCode, hot.isRetryable, hot.data.error.param], [400, false, "temperature"]);
    const other = await generateText({ ...seeded, model: provider.chatModel("gpt-4") }).catch((error) => error);
    assert.equal(other.statusCode, 404);
  },

  async cancellation() {
    const abort = new AbortController();
    const { fullStream } = streamText({
      ...seeded, model: provider.chatModel(model), maxOutputTokens: 900, abortSignal: abort.signal,
      includeRawChunks: true,
    });
    let id;
    for await (const part of fullStream) {
      if (part.type !== "raw") continue;
      id = part.rawValue.id;
      break;
    }
    abort.abort();
    assert.equal(await statusOf(id), "cancelled");
  },

  async retriesWhenBusy() {
    const { text } = await whenBusy((fetch) => generateText(
      { ...seeded, model: connect({ fetch }).chatModel(model), maxOutputTokens: 4, maxRetries: 1 }));
    assert.ok(text.length > 0);
  },
});
