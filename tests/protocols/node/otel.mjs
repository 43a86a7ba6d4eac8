// An application with spans of its own.
import { trace } from "@opentelemetry/api";
import { provider } from "./exporting.mjs";

const tracer = trace.getTracer("app");
tracer.startActiveSpan("chat gpt-4o", (span) => {
  span.setAttributes({
    "gen_ai.operation.name": "chat",
    "gen_ai.response.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 11,
    "gen_ai.usage.output_tokens": 5,
    "gen_ai.input.messages": JSON.stringify([
      { role: "user", parts: [{ type: "text", content: "why?" }] },
    ]),
    "gen_ai.output.messages": JSON.stringify([
      { role: "assistant", parts: [{ type: "text", content: "so" }], finish_reason: "stop" },
    ]),
  });
  span.end();
});
await provider.shutdown();
