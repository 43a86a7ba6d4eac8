"""Phrases in error texts by whose failure they tell of, as re2 patterns; case counts not.

A phrase is here because a provider, a client library or an operating system says it; the corpus in
`tests/capture/test_fault.py` has the texts. A single word that an application's own error could
hold as well ("timeout must be positive") is not enough.
"""
# ruff: noqa: E501 - a pattern reads best in one piece

INPUT_TEXTS = (
    # too much was asked at once
    r"context[ _]length[ _]exceeded",
    r"maximum context length",
    r"exceeds? the (?:model'?s )?(?:maximum |max )?(?:context|input)[ _](?:length|window|size|limit|token)",
    r"(?:prompt|input|request|message)s? (?:is|are|was|were) too (?:long|large)",
    r"input (?:token )?(?:count|length)[^.]{0,40} exceeds",
    r"input is too long for requested model",
    r"too many (?:input )?tokens in (?:the )?(?:prompt|input|request)",
    r"reduce the length of (?:the|your) (?:messages|prompt|input|completion)",
    r"string too long\. expected a string with maximum length",
    r"request entity too large|payload too large",
    r"context window (?:is )?(?:exceeded|full)|exceeds? (?:the )?context window",
    # a filter refused what was asked
    r"content (?:management|usage) policy|content_policy_violation|responsibleaipolicyviolation",
    r"prompt (?:was|has been|is) (?:blocked|flagged|rejected|filtered)|blocked prompt|prompt_blocked",
    r"triggered? (?:\w+ ){0,4}content (?:management|filter)",
    r"invalid prompt: your prompt was flagged",
    r"rejected as a result of our safety system|safety system",
    r"input (?:was |is )?(?:flagged|blocked) by (?:the )?(?:moderation|guardrail)",
    r"input data may contain inappropriate content",
    r"blockreason|block_reason",
    # nothing was asked, or nothing that can be read
    r"messages?: text content blocks must be non-empty|text content blocks must contain non-whitespace",
    r"(?:all )?messages? must have non-empty content",
    r"(?:input|prompt|query|question|contents?) (?:must not|cannot|can't|can not|should not) be (?:empty|blank)",
    r"(?:empty|blank) (?:question|query|prompt|input|message)s?\b",
    r"at least one (?:message|contents? field) is required",
    r"contents? (?:is|are) not specified|contents\.parts must not be empty",
    r"could not process (?:the )?(?:image|pdf|document)|(?:image|pdf) (?:does not match|is not valid|was not valid)",
    r"you uploaded an unsupported image|unsupported (?:image|file) (?:format|type)",
    r"'\$?\.?input' is invalid|invalid 'input'",
)

MODEL_TEXTS = (
    # what the model wrote could not be used
    (
        r"(?:could not|failed to|unable to|cannot) parse (?:the )?(?:llm|model|tool call|function call)[ a-z]*"
        r"(?:output|response|arguments)?"
    ),
    r"invalid or incomplete (?:model|llm) (?:output|response)",
    r"invalid (?:json )?(?:arguments|input) for (?:tool|function)",
    r"failed to call a function",
    r"exceeded maximum (?:output )?retries",
    r"recursion limit of \d+ reached",
    (
        r"max(?:imum)? (?:turns|iterations|steps)[^.]{0,30}(?:exceeded|reached)|"
        r"(?:exceeded|reached)[^.]{0,20}max(?:imum)? (?:turns|iterations|steps)"
    ),
    r"agent stopped due to (?:iteration|max iterations)",
    r"model (?:tried|attempted) to call (?:an )?(?:unavailable|unknown|undefined|non-?existent) tool",
    r"is not (?:a valid|an available) tool, try one of",
    r"(?:tool|function) [^ ]+ (?:not found in agent|is not in the list of|was not found in the tools)",
    r"no object generated|response did not match schema",
    r"could not parse response content as the length limit was reached",
    r"tool_calls? must be followed by tool messages",
    r"malformed[_ ]function[_ ]call",
)

INFRASTRUCTURE_TEXTS = (
    # quota and rate
    (
        r"exceeded your current quota|insufficient[_ ]quota|quota[ _](?:was |has been |is )?exceeded"
        r"|quota exhausted|exceeds? (?:the |your )?quota|quota failure|out of quota|quota metric"
    ),
    (
        r"rate[ _-]?limit(?:s|ed|ing)?[ _-]?(?:reached|exceeded|error|hit|exceeding|by)|rate[ _-]limited"
        r"|exceed(?:ed|s)? (?:your |the )?(?:[a-z]+ ){0,6}rate limit|rate limit of \d+"
    ),
    r"too many requests|throttl(?:ed|ing)|too many (?:tokens|connections)(?:,| per| before|\.|$)",
    r"credit balance is too low|insufficient (?:credits?|balance|funds)|billing (?:hard )?limit",
    r"resource[_ ]exhausted|resource has been exhausted",
    # the other side cannot
    r"overloaded(?:_error)?\b|currently (?:overloaded|at capacity|experiencing high demand)|high demand",
    (
        r"no capacity|(?:out of|insufficient|not enough) capacity|capacity (?:exceeded|constraints?)"
        r"|model is not ready|model (?:is )?(?:currently )?loading"
    ),
    (
        r"internal server error|bad gateway|service (?:is )?(?:temporarily |currently )?unavailable"
        r"|gateway time-?out|server had an error|upstream (?:connect|request|server|error|prematurely)"
        r"|no healthy upstream|temporarily unavailable|server error ?'?5\d\d|origin (?:is )?unreachable"
        r"|an internal error (?:has )?occurred|internal error encountered|unable to get page"
        r"|the server is (?:busy|overloaded)"
    ),
    # time
    (
        r"(?:request|connection|operation|read|connect|call|response|query|execution|task|run|socket|stream"
        r"|upstream|server|invocation|client|lock|handshake)\w* (?:has |was |is )?timed[ -]?out"
    ),
    r"\btimed[ -]out (?:after|waiting|while|trying|connecting|reading|\(|at|on)|^(?:the )?\w* ?timed out\.?$",
    (
        r"(?:read|connect|connection|write|pool|request|gateway|socket|upstream|response|server|idle|header"
        r"s?|query|network|api|http|statement)[ _-]?time-?out\b(?: error| exceeded| expired| of \d| after|\.|:"
        r"|=|\)|,| reached| \(|$)"
    ),
    r"deadline[ _]exceeded|deadline expired|context deadline",
    r"timeout (?:of \d|exceeded|expired|after \d|was reached|reached|error|while|awaiting|waiting)",
    r"did not (?:respond|complete) (?:in time|within the (?:time|allotted))",
    # the network
    (
        r"connection (?:was |has been |is )?(?:reset|refused|aborted|closed|broken|lost|dropped|error\b|terminated)"
        r"|connection (?:attempts? )?failed|(?:cannot|could not|failed to|unable to) connect to (?:the )?(?:host|endpoint|server|api|remote"
        r"|all addresses|database|broker|proxy)|failed to establish a (?:new )?connection"
        r"|error communicating with"
    ),
    (
        r"server disconnected|peer closed connection|remote end closed|incomplete chunked read"
        r"|premature(?:ly)? (?:close|end)|response ended prematurely|broken pipe|socket hang up|eof occurred"
    ),
    (
        r"name or service not known|temporary failure in name resolution|nodename nor servname"
        r"|getaddrinfo|no address associated with hostname|dns (?:resolution|lookup)|could not resolve host"
    ),
    (
        r"network is unreachable|no route to host|econn(?:reset|refused|aborted)|etimedout|enotfound|eai_again"
        r"|fetch failed|ssl(?:error|: | handshake)|certificate verify failed|tls handshake"
    ),
    # whoever asked has left
    (
        r"request (?:was |has been |is )?(?:cancell?ed|aborted)|client (?:has )?(?:disconnected|closed)"
        r"|cancell?ed by (?:the )?(?:user|client|caller)|operation was (?:aborted|cancell?ed)"
        r"|user aborted|aborted by (?:the )?(?:user|client)|caller cancell?ed"
    ),
    # the machine
    (
        r"out of memory|outofmemory|cannot allocate memory|std::bad_alloc|oom[- ]?kill|no space left on device"
        r"|too many open files|cuda error"
    ),
    # keys and deployments
    (
        r"(?:incorrect|invalid|expired|missing) (?:x-)?api[- ]?key|api key (?:not valid|expired|is invalid)"
        r"|security token included in the request is (?:invalid|expired)|invalid authentication"
        r"|could not resolve authentication method|access denied due to invalid subscription"
    ),
    (
        r"(?:the )?(?:model|deployment|engine) [^.]{0,80}(?:does not exist|not found|has been (?:deprecated|"
        r"decommissioned|retired))|the api deployment for this resource does not exist"
    ),
)
