// The Vercel AI SDK with a tool and its test model: one call for the tool, one for the answer.
import { generateText, stepCountIs, tool } from "ai";
import { MockLanguageModelV3 } from "ai/test";
import { z } from "zod";
import { provider } from "./exporting.mjs";

const usage = {
  inputTokens: { total: 11, noCache: 11, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 5, text: 5, reasoning: 0 },
};
const said = [
  {
    content: [
      {
        type: "tool-call",
        toolCallId: "call_1",
        toolName: "find_order",
        input: JSON.stringify({ order: "8812" }),
      },
    ],
    finishReason: { unified: "tool-calls", raw: "tool_calls" },
    usage,
    warnings: [],
  },
  {
    content: [{ type: "text", text: "It is on its way." }],
    finishReason: { unified: "stop", raw: "stop" },
    usage,
    warnings: [],
  },
];
let calls = 0;
const model = new MockLanguageModelV3({
  modelId: "gpt-4o",
  doGenerate: async () => said[calls++],
});
await generateText({
  model,
  prompt: "Where is my order 8812?",
  tools: {
    find_order: tool({
      description: "Looks an order up.",
      inputSchema: z.object({ order: z.string() }),
      execute: async ({ order }) => ({ order, state: "sent" }),
    }),
  },
  stopWhen: stepCountIs(3),
  experimental_telemetry: {
    isEnabled: true,
    functionId: "support",
    metadata: { sessionId: "s-1", userId: "u-1" },
  },
});
await provider.shutdown();
