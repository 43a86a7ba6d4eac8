// OpenTelemetry's SDK, set up as its documentation does, configured by the environment alone.
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";

const kind = process.env.EXPORTER ?? "http";
const { OTLPTraceExporter } = await import(`@opentelemetry/exporter-trace-otlp-${kind}`);

export const provider = new NodeTracerProvider({
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
provider.register();
