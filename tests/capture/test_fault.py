"""A corpus of errors as libraries, providers and operating systems word them, and whose failure each is."""
# ruff: noqa: E501 - the texts are as their authors write them

from collections import Counter

import pytest

from capture.events import FAULTS
from capture.fault import fault_of_error, fault_of_text

INFRASTRUCTURE = (
    # OpenAI and Azure
    ("openai.RateLimitError", "Error code: 429 - {'error': {'message': 'You exceeded your current quota, please check your plan and billing details.', 'type': 'insufficient_quota', 'code': 'insufficient_quota'}}"),
    ("RateLimitError", "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 29801, Requested 1200. Please try again in 2.002s."),
    ("openai.APITimeoutError", "Request timed out."),
    ("openai.APIConnectionError", "Connection error."),
    ("openai.InternalServerError", "Error code: 500 - {'error': {'message': 'The server had an error while processing your request. Sorry about that!', 'type': 'server_error'}}"),
    ("openai.APIStatusError", "Error code: 503 - {'error': {'message': 'The engine is currently overloaded, please try again later'}}"),
    ("openai.AuthenticationError", "Error code: 401 - {'error': {'message': 'Incorrect API key provided: sk-abc. You can find your API key at https://platform.openai.com'}}"),
    ("openai.NotFoundError", "Error code: 404 - {'error': {'message': 'The model `gpt-4-32k` does not exist or you do not have access to it.', 'code': 'model_not_found'}}"),
    ("openai.NotFoundError", "Error code: 404 - {'error': {'code': 'DeploymentNotFound', 'message': 'The API deployment for this resource does not exist.'}}"),
    ("RateLimitError", "Error code: 429 - {'error': {'code': '429', 'message': 'Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-02-01 have exceeded token rate limit of your current OpenAI S0 pricing tier.'}}"),
    ("azure.core.exceptions.ServiceRequestError", "<urllib3.connection.HTTPSConnection object at 0x7f>: Failed to establish a new connection: [Errno 111] Connection refused"),
    ("azure.core.exceptions.HttpResponseError", "(429) Too Many Requests"),
    ("azure.core.exceptions.HttpResponseError", "Operation returned an invalid status 'Service Unavailable'"),
    (None, "Error code: 401 - {'statusCode': 401, 'message': 'Unauthorized. Access token is missing, invalid, audience is incorrect, or have expired.'}"),
    (None, "Access denied due to invalid subscription key or wrong API endpoint."),
    # Anthropic
    ("anthropic.InternalServerError", "Error code: 529 - {'type': 'error', 'error': {'type': 'overloaded_error', 'message': 'Overloaded'}}"),
    ("anthropic._exceptions.OverloadedError", "Overloaded"),
    ("anthropic.APIStatusError", "{'type': 'error', 'error': {'details': None, 'type': 'overloaded_error', 'message': 'Overloaded'}}"),
    ("anthropic.RateLimitError", "Error code: 429 - {'type': 'error', 'error': {'type': 'rate_limit_error', 'message': 'This request would exceed your organization’s rate limit of 40,000 input tokens per minute.'}}"),
    ("anthropic.BadRequestError", "Error code: 400 - {'error': {'type': 'invalid_request_error', 'message': 'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.'}}"),
    ("anthropic.APIConnectionError", "Connection error."),
    ("anthropic.APIError", "{'type': 'api_error', 'message': 'Internal server error'}"),
    # Google
    ("google.api_core.exceptions.ResourceExhausted", "429 Quota exceeded for quota metric 'Generate Content API requests per minute' and limit 'GenerateContent request limit per minute for a region' of service 'generativelanguage.googleapis.com'"),
    ("google.genai.errors.ClientError", "429 RESOURCE_EXHAUSTED. {'error': {'code': 429, 'message': 'Resource has been exhausted (e.g. check quota).', 'status': 'RESOURCE_EXHAUSTED'}}"),
    ("google.genai.errors.ServerError", "503 UNAVAILABLE. {'error': {'code': 503, 'message': 'The model is overloaded. Please try again later.', 'status': 'UNAVAILABLE'}}"),
    ("google.api_core.exceptions.DeadlineExceeded", "504 Deadline Exceeded"),
    ("google.api_core.exceptions.InternalServerError", "500 An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting"),
    ("google.api_core.exceptions.RetryError", "Timeout of 600.0s exceeded, last exception: 503 failed to connect to all addresses"),
    ("google.auth.exceptions.RefreshError", "('invalid_grant: Token has been expired or revoked.', {'error': 'invalid_grant'})"),
    (None, "API key not valid. Please pass a valid API key."),
    # AWS Bedrock
    ("botocore.errorfactory.ThrottlingException", "An error occurred (ThrottlingException) when calling the Converse operation (reached max retries: 4): Too many requests, please wait before trying again."),
    ("ClientError", "An error occurred (ThrottlingException) when calling the InvokeModel operation: Too many tokens, please wait before trying again."),
    ("botocore.errorfactory.ModelTimeoutException", "An error occurred (ModelTimeoutException) when calling the InvokeModel operation: Model has timed out in processing the request. Try your request again."),
    ("botocore.errorfactory.ServiceUnavailableException", "Bedrock is unable to process your request."),
    ("botocore.exceptions.ReadTimeoutError", 'Read timeout on endpoint URL: "https://bedrock-runtime.us-east-1.amazonaws.com/model/x/invoke"'),
    ("botocore.exceptions.EndpointConnectionError", 'Could not connect to the endpoint URL: "https://bedrock-runtime.eu-west-9.amazonaws.com/"'),
    ("botocore.exceptions.ClientError", "An error occurred (ExpiredTokenException) when calling the InvokeModel operation: The security token included in the request is expired"),
    ("botocore.exceptions.NoCredentialsError", "Unable to locate credentials"),
    ("ModelNotReadyException", "Model is not ready for inference. Please try again."),
    # httpx, requests, aiohttp, urllib3
    ("httpx.ReadTimeout", ""),
    ("httpx.ConnectTimeout", "_ssl.c:989: The handshake operation timed out"),
    ("httpx.PoolTimeout", ""),
    ("httpx.ConnectError", "[Errno -2] Name or service not known"),
    ("httpx.ConnectError", "All connection attempts failed"),
    ("httpx.RemoteProtocolError", "Server disconnected without sending a response."),
    ("httpx.RemoteProtocolError", "peer closed connection without sending complete message body (incomplete chunked read)"),
    ("httpx.HTTPStatusError", "Server error '502 Bad Gateway' for url 'https://api.example.com/v1/chat/completions'\nFor more information check: https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/502"),
    ("httpx.HTTPStatusError", "Client error '429 Too Many Requests' for url 'https://api.example.com/v1/messages'"),
    ("requests.exceptions.ConnectionError", "('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))"),
    ("requests.exceptions.ReadTimeout", "HTTPSConnectionPool(host='api.openai.com', port=443): Read timed out. (read timeout=60)"),
    ("requests.exceptions.ConnectionError", "HTTPSConnectionPool(host='api.x.com', port=443): Max retries exceeded with url: /v1 (Caused by NameResolutionError(\"Failed to resolve 'api.x.com' ([Errno -3] Temporary failure in name resolution)\"))"),
    ("requests.exceptions.HTTPError", "504 Server Error: Gateway Time-out for url: https://api.example.com/v1/run"),
    ("requests.exceptions.ChunkedEncodingError", "('Connection broken: IncompleteRead(0 bytes read)', IncompleteRead(0 bytes read))"),
    ("requests.exceptions.SSLError", "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate"),
    ("aiohttp.client_exceptions.ServerDisconnectedError", "Server disconnected"),
    ("aiohttp.client_exceptions.ClientConnectorError", "Cannot connect to host api.example.com:443 ssl:default [Connect call failed ('10.0.0.1', 443)]"),
    ("aiohttp.client_exceptions.ClientResponseError", "503, message='Service Unavailable', url='https://api.example.com'"),
    ("aiohttp.client_exceptions.ClientPayloadError", "Response payload is not completed"),
    ("urllib3.exceptions.ProtocolError", "('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))"),
    # gRPC
    ("grpc._channel._InactiveRpcError", '<_InactiveRpcError of RPC that terminated with:\n\tstatus = StatusCode.UNAVAILABLE\n\tdetails = "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.1.1.1:443: Failed to connect to remote host: Connection refused"'),
    ("grpc.aio._call.AioRpcError", '<AioRpcError of RPC that terminated with:\n\tstatus = StatusCode.DEADLINE_EXCEEDED\n\tdetails = "Deadline Exceeded"'),
    ("grpc.RpcError", '<_MultiThreadedRendezvous of RPC that terminated with: status = StatusCode.RESOURCE_EXHAUSTED details = "Received message larger than max"'),
    # Python, asyncio, the operating system
    ("asyncio.exceptions.CancelledError", ""),
    ("builtins.TimeoutError", ""),
    ("asyncio.TimeoutError", "no message"),
    ("ConnectionResetError", "[Errno 104] Connection reset by peer"),
    ("OSError", "[Errno 113] No route to host"),
    ("OSError", "[Errno 24] Too many open files"),
    ("BrokenPipeError", "[Errno 32] Broken pipe"),
    ("socket.gaierror", "[Errno -3] Temporary failure in name resolution"),
    ("MemoryError", ""),
    ("torch.cuda.OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 79.15 GiB total capacity)"),
    ("RuntimeError", "CUDA error: out of memory"),
    ("starlette.requests.ClientDisconnect", ""),
    ("anyio.BrokenResourceError", ""),
    # LangChain, LiteLLM, Vercel AI SDK, Node, proxies
    ("litellm.exceptions.ServiceUnavailableError", "litellm.ServiceUnavailableError: AnthropicException - Overloaded"),
    ("litellm.RateLimitError", "litellm.RateLimitError: VertexAIException - 429 Resource exhausted"),
    ("litellm.exceptions.Timeout", "litellm.Timeout: APITimeoutError - Request timed out. Error_str: Request timed out."),
    ("ValueError", "Error raised by inference API HTTP code: 503, no healthy upstream"),
    ("AI_APICallError", "Too Many Requests"),
    ("AI_RetryError", "Failed after 3 attempts. Last error: Cannot connect to API: connect ECONNREFUSED 127.0.0.1:11434"),
    ("AbortError", "This operation was aborted"),
    ("TypeError", "fetch failed"),
    ("Error", "read ECONNRESET"),
    ("Error", "socket hang up"),
    ("Error", "getaddrinfo ENOTFOUND api.example.com"),
    ("Error", "timeout of 30000ms exceeded"),
    ("APIUserAbortError", "Request was aborted."),
    ("upstream", "upstream connect error or disconnect/reset before headers. reset reason: connection termination"),
    (None, "<html><head><title>504 Gateway Time-out</title></head><body>nginx</body></html>"),
    (None, "error code: 522"),
    (None, "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"),
    (None, "Request cancelled by user"),
    (None, "client disconnected before the response was complete"),
    ("503", "Service Unavailable"),
    ("504", ""),
    ("rate_limit_exceeded", "slow down"),
    ("HTTPException", "status_code=529"),
    ("cohere.errors.too_many_requests_error.TooManyRequestsError", "status_code: 429, body: {'message': 'You are using a Trial key, which is limited to 10 API calls / minute.'}"),
    ("mistralai.models.sdkerror.SDKError", 'API error occurred: Status 429. Body: {"message":"Service tier capacity exceeded for this model."}'),
    ("groq.InternalServerError", "Error code: 503 - {'error': {'message': 'Service Unavailable'}}"),
    ("huggingface_hub.errors.InferenceTimeoutError", "Model not loaded on the server: https://x. Please retry with a higher timeout (current: 120)."),
    ("HfHubHTTPError", "504 Server Error: Gateway Timeout for url"),
    ("ollama._types.ResponseError", "model 'llama9' not found (status code: 404)"),
    ("psycopg.OperationalError", 'connection to server at "10.0.0.2", port 5432 failed: Connection refused'),
    ("redis.exceptions.ConnectionError", "Error 111 connecting to localhost:6379. Connection refused."),
    ("celery.exceptions.SoftTimeLimitExceeded", "SoftTimeLimitExceeded()"),
)  # fmt: skip

INPUT = (
    ("openai.BadRequestError", "Error code: 400 - {'error': {'message': \"This model's maximum context length is 128000 tokens. However, your messages resulted in 140123 tokens. Please reduce the length of the messages.\", 'type': 'invalid_request_error', 'code': 'context_length_exceeded'}}"),
    ("openai.BadRequestError", "Error code: 400 - {'error': {'message': \"The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry.\", 'code': 'content_filter', 'innererror': {'code': 'ResponsibleAIPolicyViolation'}}}"),
    ("openai.BadRequestError", "Error code: 400 - {'error': {'message': 'Your request was rejected as a result of our safety system.', 'code': 'content_policy_violation'}}"),
    ("openai.BadRequestError", "Error code: 400 - {'error': {'message': 'Invalid prompt: your prompt was flagged as potentially violating our usage policy.', 'code': 'invalid_prompt'}}"),
    ("openai.BadRequestError", "Error code: 400 - {'error': {'message': \"Invalid 'messages[0].content': string too long. Expected a string with maximum length 10485760\", 'code': 'string_above_max_length'}}"),
    ("openai.RateLimitError", "Error code: 429 - Request too large for gpt-4o: prompt is too long: maximum context length is 128000"),
    ("anthropic.BadRequestError", "Error code: 400 - {'type': 'error', 'error': {'type': 'invalid_request_error', 'message': 'prompt is too long: 214315 tokens > 200000 maximum'}}"),
    ("anthropic.BadRequestError", "Error code: 400 - {'type': 'error', 'error': {'type': 'invalid_request_error', 'message': 'messages: text content blocks must be non-empty'}}"),
    ("anthropic.BadRequestError", "input length and `max_tokens` exceed context limit: 198000 + 8192 > 200000, exceeds the context window"),
    ("anthropic.RequestTooLargeError", "Request exceeds the maximum allowed number of bytes."),
    ("anthropic.BadRequestError", "Output blocked by content filtering: Could not process image"),
    ("google.genai.errors.ClientError", "400 INVALID_ARGUMENT. {'error': {'message': 'The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).'}}"),
    ("google.generativeai.types.BlockedPromptException", "prompt_feedback { block_reason: SAFETY }"),
    ("google.api_core.exceptions.InvalidArgument", "400 Unable to submit request because at least one contents field is required."),
    ("google.genai.errors.ClientError", "400 * GenerateContentRequest.contents: contents is not specified"),
    ("botocore.errorfactory.ValidationException", "An error occurred (ValidationException) when calling the InvokeModel operation: Input is too long for requested model."),
    ("botocore.errorfactory.ValidationException", "The model returned the following errors: messages: text content blocks must contain non-whitespace text"),
    ("litellm.ContextWindowExceededError", "litellm.BadRequestError: ContextWindowExceededError"),
    ("litellm.exceptions.ContentPolicyViolationError", "blocked"),
    ("agents.exceptions.InputGuardrailTripwireTriggered", "Guardrail InputGuardrail triggered tripwire"),
    ("ValueError", "Question must not be empty"),
    ("ValueError", "empty query"),
    ("fastapi.HTTPException", "413: Request Entity Too Large"),
    ("dashscope.DataInspectionFailed", "Input data may contain inappropriate content."),
)  # fmt: skip

MODEL = (
    ("langchain_core.exceptions.OutputParserException", "Could not parse LLM output: `I think the answer is 4`"),
    ("ValueError", "Could not parse LLM output: `Sure!`"),
    ("langgraph.errors.GraphRecursionError", "Recursion limit of 25 reached without hitting a stop condition."),
    ("pydantic_ai.exceptions.UnexpectedModelBehavior", "Exceeded maximum retries (1) for output validation"),
    ("agents.exceptions.MaxTurnsExceeded", "Max turns (10) exceeded"),
    ("agents.exceptions.ModelBehaviorError", "Tool get_weathr not found in agent Assistant"),
    ("openai.LengthFinishReasonError", "Could not parse response content as the length limit was reached"),
    ("groq.BadRequestError", "Error code: 400 - {'error': {'message': \"Failed to call a function. Please adjust your prompt.\", 'code': 'tool_use_failed'}}"),
    ("AI_NoObjectGeneratedError", "No object generated: response did not match schema."),
    ("instructor.exceptions.InstructorRetryException", "1 validation error for User"),
    ("StopCandidateException", "finish_reason: MALFORMED_FUNCTION_CALL"),
    ("langchain.agents", "Agent stopped due to iteration limit or time limit."),
)  # fmt: skip

UNKNOWN = (
    ("KeyError", "'order_id'"),
    ("ValueError", "timeout must be positive"),
    ("ZeroDivisionError", "division by zero"),
    ("AttributeError", "'NoneType' object has no attribute 'content'"),
    ("TypeError", "unsupported operand type(s) for +: 'int' and 'str'"),
    ("ToolException", "no seats left on flight HAT103"),
    ("ValueError", "date must be YYYY-MM-DD, got 03/05/26"),
    ("Boom", "out of cheese"),
    ("openai.BadRequestError", "Error code: 400 - {'error': {'message': \"Invalid value for 'temperature'\"}}"),
    ("AssertionError", ""),
    (None, "order 50312 was not found"),
    (None, "the quota of 3 parcels a day must not be negative"),
    (None, "status 404: no such order"),
    (None, "customer cancelled the order 429 days ago"),
    (None, "invoice 5031: amount must be a number"),
    (None, "the reservation cannot be cancelled"),
    ("LookupError", "cannot connect passenger 3 to a reservation"),
    (None, "Unavailable: no seats left on flight HAT103"),
    (None, "cancelled: order 5"),
    (None, "requests: 3 are pending"),
    (None, "Timeout of the voucher is 30 days"),
    (None, True),
)  # fmt: skip

CORPUS = [
    (fault, kind, text)
    for fault, cases in (
        ("infrastructure", INFRASTRUCTURE),
        ("input", INPUT),
        ("model", MODEL),
        ("unknown", UNKNOWN),
    )
    for kind, text in cases
]


@pytest.mark.parametrize(("fault", "kind", "text"), CORPUS)
def test_an_error_is_known_by_its_type_and_its_text(fault: str, kind: object, text: object) -> None:
    metadata = {"error.type": kind, "error.message": text}
    assert fault_of_error({k: v for k, v in metadata.items() if v}) == fault


def test_the_corpus_has_at_least_eighty_errors_and_every_fault() -> None:
    counts = Counter(fault for fault, _, _ in CORPUS)
    assert set(counts) == set(FAULTS)
    assert sum(counts.values()) >= 150


@pytest.mark.parametrize(
    ("fault", "kind", "text"),
    [(f, k, t) for f, k, t in CORPUS if k and "." in str(k) and isinstance(t, str)],
)
def test_a_tracebacks_last_line_says_the_same(fault: str, kind: str, text: str) -> None:
    """Where only one text is kept, it begins with the class."""
    assert fault_of_text(f"{kind}: {text}") == fault


@pytest.mark.parametrize(
    ("metadata", "fault"),
    [
        ({"error.type": "HTTPError", "http.response.status_code": 503}, "infrastructure"),
        ({"error": True, "http.status_code": "429"}, "infrastructure"),
        ({"error.type": "ClientError", "http.response.status_code": 400}, "unknown"),
        ({"error.type": "RpcError", "rpc.grpc.status_code": 14}, "infrastructure"),
        ({"error.type": "RpcError", "rpc.grpc.status_code": 3}, "unknown"),
        ({"error": "x", "error.code": "insufficient_quota"}, "infrastructure"),
        ({"error.type": "BadRequestError", "error.code": "context_length_exceeded"}, "input"),
        ({"error": "x", "http.status_code": "what"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_a_status_decides_where_the_text_does_not(metadata: dict[str, object], fault: str) -> None:
    assert fault_of_error(metadata) == fault


def test_a_text_of_a_megabyte_takes_no_longer_than_its_beginning() -> None:
    assert fault_of_text("x" * 1_000_000 + " Connection reset by peer") == "unknown"
    assert fault_of_text("Connection reset by peer " + "x" * 1_000_000) == "infrastructure"
