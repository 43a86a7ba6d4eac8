"""Exception classes and error codes by whose failure they are, each under the library it is from.

Only the last part of a dotted name counts, in small letters. A class that says nothing by itself
(`BadRequestError`, `APIStatusError`, `ValueError`, `HTTPError`) is not here: its text decides.
"""

from capture.events import Fault

_INFRASTRUCTURE_TYPES = """
    RateLimitError APITimeoutError APIConnectionError InternalServerError AuthenticationError
    PermissionDeniedError OverloadedError ServiceUnavailableError APIConnectionTimeoutError
    APIUserAbortError BillingError
    ResourceExhausted TooManyRequests DeadlineExceeded ServiceUnavailable GatewayTimeout BadGateway
    Unauthenticated PermissionDenied Cancelled Unavailable RetryError ServerError RefreshError
    DefaultCredentialsError
    ThrottlingException TooManyRequestsException ModelTimeoutException ModelNotReadyException
    ServiceUnavailableException InternalServerException ServiceQuotaExceededException
    ModelStreamErrorException AccessDeniedException ExpiredTokenException UnrecognizedClientException
    EndpointConnectionError ReadTimeoutError ConnectTimeoutError ConnectionClosedError NoCredentialsError
    ServiceRequestError ServiceResponseError ServiceRequestTimeoutError ServiceResponseTimeoutError
    ClientAuthenticationError
    ReadTimeout WriteTimeout ConnectTimeout PoolTimeout TimeoutException ConnectError ReadError WriteError
    CloseError NetworkError RemoteProtocolError TransportError ProxyError
    ConnectionError Timeout ChunkedEncodingError SSLError MaxRetryError NewConnectionError ProtocolError
    IncompleteRead NameResolutionError
    ServerDisconnectedError ServerTimeoutError ClientConnectorError ClientOSError ClientPayloadError
    ClientConnectionError ClientConnectionResetError ClientConnectorDNSError SocketTimeoutError
    ConnectionTimeoutError ClientConnectorSSLError ClientConnectorCertificateError
    TimeoutError CancelledError ConnectionResetError ConnectionRefusedError ConnectionAbortedError
    BrokenPipeError IncompleteReadError gaierror herror MemoryError OutOfMemoryError BrokenResourceError
    ClosedResourceError EndOfStream ClientDisconnect ClientDisconnected RequestCancelled AbortError
    SSLCertVerificationError SSLEOFError
    ConnectionClosed ConnectionClosedError ConnectionTimeout OperationalError InterfaceError
    BudgetExceededError RouterRateLimitError MidStreamFallbackError
    UpstreamTimeout InferenceTimeoutError WorkerLostError SoftTimeLimitExceeded TimeLimitExceeded
    ECONNRESET ECONNREFUSED ETIMEDOUT ENOTFOUND EAI_AGAIN UND_ERR_CONNECT_TIMEOUT UND_ERR_SOCKET
"""
_INPUT_TYPES = """
    ContextWindowExceededError ContextLengthExceededError ContextOverflowError ContentPolicyViolationError
    ContentFilterError ContentFilterFinishReasonError ContentFilteredException BlockedPromptException
    RequestTooLargeError ModerationError InputGuardrailTripwireTriggered UnsupportedFileTypeError
    LengthLimitExceeded PromptTooLongError InvalidPromptError
"""
_MODEL_TYPES = """
    OutputParserException OutputParsingError UnexpectedModelBehavior ModelBehaviorError MaxTurnsExceeded
    GraphRecursionError RecursionLimitReached OutputGuardrailTripwireTriggered InstructorRetryException
    LengthFinishReasonError ToolRetryError StructuredOutputValidationError InvalidToolInputError
    NoSuchToolError NoObjectGeneratedError TypeValidationError StopCandidateException
    JSONSchemaValidationError UsageLimitExceeded IncompleteToolCall AgentMaxIterationsError JSONParseError
    ToolCallRepairError
"""
_INFRASTRUCTURE_CODES = """
    insufficient_quota rate_limit_exceeded rate_limit_error tokens requests server_error overloaded_error
    api_error timeout_error authentication_error permission_error billing_error invalid_api_key
    billing_hard_limit_reached account_deactivated service_unavailable engine_overloaded
    RESOURCE_EXHAUSTED UNAVAILABLE DEADLINE_EXCEEDED CANCELLED UNAUTHENTICATED PERMISSION_DENIED
    429_too_many_requests timeout cancelled canceled client_disconnected connection_error
    request_timeout model_not_found DeploymentNotFound
"""
_INPUT_CODES = """
    context_length_exceeded string_above_max_length content_policy_violation content_filter
    ResponsibleAIPolicyViolation invalid_prompt request_too_large moderation_blocked
    image_content_policy_violation prompt_blocked PROHIBITED_CONTENT invalid_image unsupported_image
"""
_MODEL_CODES = """
    tool_use_failed json_validate_failed invalid_tool_call output_parsing_failure
    OUTPUT_PARSING_FAILURE GRAPH_RECURSION_LIMIT INVALID_TOOL_RESULTS
"""


def _table(**names: str) -> dict[str, Fault]:
    faults: dict[str, Fault] = {
        "infrastructure": "infrastructure",
        "given": "input",
        "model": "model",
    }
    return {
        name.lower(): faults[whose] for whose, listed in names.items() for name in listed.split()
    }


FAULT_OF_TYPE = _table(infrastructure=_INFRASTRUCTURE_TYPES, given=_INPUT_TYPES, model=_MODEL_TYPES)
"""By the last part of an exception's class name, in small letters."""

FAULT_OF_CODE = _table(infrastructure=_INFRASTRUCTURE_CODES, given=_INPUT_CODES, model=_MODEL_CODES)
"""By a provider's error code, in small letters."""
