// What a user of LangChain does: see scenarios.mjs.
import assert from "node:assert/strict";
import { HumanMessage } from "@langchain/core/messages";
import { ChatOpenAI, OpenAI } from "@langchain/openai";
import { baseUrl, collect, model, run, statusOf, whenBusy } from "./scenarios.mjs";

const connect = (Client, options = {}, fetch = globalThis.fetch) => new Client({
  model, apiKey: "unused", temperature: 1, modelKwargs: { seed: 5 }, maxRetries: 0,
  configuration: { baseURL: `${baseUrl}/v1`, fetch }, ...options,
});
const question = [new HumanMessage("Once upon a time")];

await run({
  async chatStreamedOrNot() {
    const chat = connect(ChatOpenAI, { maxTokens: 16, streamUsage: true });
    const whole = await chat.invoke(question);
    const chunks = await collect(await chat.stream(question));
    assert.ok(whole.content.length > 0);
    assert.equal(chunks.map((chunk) => chunk.content).join(""), whole.content);
    const usage = chunks.findLast((chunk) => chunk.usage_metadata).usage_metadata;
    for (const name of ["input_tokens", "output_tokens", "total_tokens"])
      assert.equal(usage[name], whole.usage_metadata[name]);
    assert.equal(whole.usage_metadata.output_tokens, 16);
    assert.equal(whole.response_metadata.finish_reason, "length");
  },

  async completionsStreamedOrNot() {
    const completion = connect(OpenAI, { maxTokens: 12 });
    const { generations, llmOutput } = await completion.generate(["Once", "The dog"]);
    assert.equal(generations.length, 2);
    assert.equal(llmOutput.tokenUsage.completionTokens, 24);
    assert.equal((await collect(await completion.stream("Once"))).join(""), generations[0][0].text);
  },

  async choices() {
    const chat = connect(ChatOpenAI, { maxTokens: 12, n: 2 });
    const { generations: [choices] } = await chat.generate([question]);
    assert.equal(choices.length, 2);
    assert.notEqual(choices[0].text, choices[1].text);
  },

  async logprobs() {
    const chat = connect(ChatOpenAI, { maxTokens: 8, logprobs: true, topLogprobs: 3 });
    const { content } = (await chat.invoke(question)).response_metadata.logprobs;
    assert.ok(content.length > 0 && content.every((one) => one.top_logprobs.length === 3));
  },

  async errors() {
    const hot = await connect(ChatOpenAI, { temperature: 5 }).invoke(question).catch((error) => error);
    assert.deepEqual([hot.status, hot.param], [400, "temperature"]);
    const other = await connect(ChatOpenAI, { model: "gpt-4" }).invoke(question).catch((error) => error);
    assert.equal(other.status, 404);
  },

  async cancellation() {
    const abort = new AbortController();
    const chat = connect(ChatOpenAI, { maxTokens: 900 });
    let id;
    for await (const chunk of await chat.stream(question, { signal: abort.signal })) {
      id = chunk.id;
      break;
    }
    abort.abort();
    assert.equal(await statusOf(id), "cancelled");
  },

  async retriesWhenBusy() {
    const answer = await whenBusy((fetch) =>
      connect(ChatOpenAI, { maxTokens: 4, maxRetries: 1 }, fetch).invoke(question));
    assert.ok(answer.content.length > 0);
  },
});
