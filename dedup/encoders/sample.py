"""Texts that a compiled model is compared with its reference on, where nobody names others.

What failures look like: wishes from many trades, long and short, with the errors and answers that
follow them, and some in other languages. Put together from parts, the same each time.
"""

from collections.abc import Iterator

WISHES = (
    "Where is my parcel?",
    "I ordered two pairs of shoes last Tuesday and only one arrived; the other box was empty.",
    "cancel my subscription",
    "Please move my flight from Boston to Denver to the evening of the 14th, same cabin.",
    "why was i charged twice for the same booking",
    "What is the maximum dose of ibuprofen for a child of 20 kg?",
    "Summarise the attached lease and list every clause that mentions a penalty.",
    "Write a SQL query that returns the ten customers with the highest revenue in 2024.",
    "My card was declined at the petrol station although there is money on the account.",
    "Translate this letter into formal Spanish, but leave the names of the products alone.",
    "How do I reset the router after a firmware update?",
    "The app closes by itself as soon as I open the camera.",
    "Refund, please.",
    "Can I take a guitar as hand luggage on a connecting flight?",
    "Explain the difference between a mutex and a semaphore to a beginner.",
    "Book a table for six on Friday at seven, one of us is in a wheelchair.",
    "It says my password has expired, and the link in the mail does nothing.",
    "Give me a vegetarian recipe with lentils, spinach and whatever else is cheap in winter.",
    "Is the warehouse in Leeds open on bank holidays?",
    "Calculate the monthly payment on a loan of 240,000 at 3.9 percent over 25 years.",
    "My grandmother's pension letter has the wrong date of birth; who corrects that?",
    "Which of these three insurance plans covers dental work done abroad?",
    "The invoice of March shows a discount that we never agreed on, take it out and send it again.",
    "Find every meeting next week that clashes with the training and propose new times.",
    "the exchange rate you used is wrong",
    "Tell me whether this contract renews by itself, and until when we have to give notice.",
    "Rewrite the paragraph so that it sounds less like an advertisement.",
    "I was promised a call back yesterday morning and nobody called.",
    "What are the opening hours of the swimming pool during the school holidays?",
    "Add a unit test for the function that parses dates with two digits for the year.",
    "how many vacation days do i have left",
    "The thermostat shows 27 degrees while the room is freezing, and the valve makes a noise.",
    "Compare the battery life of the two laptops under video playback.",
    "I want to change the name on my ticket because I got married.",
    "Delete my account and everything you know about me.",
    "Our deployment fails in the second stage with an error about a missing secret.",
    "Please extract the names, dates and amounts from this scanned receipt as JSON.",
    "Who won the election in the constituency of Bath in 1992?",
    "Make the picture brighter and remove the person on the left.",
    "Do these tablets go together with grapefruit juice?",
)
_ERRORS = (
    "",
    "find_order: TimeoutError: the upstream service did not answer within 30 seconds",
    "search_documents: 0 results for the query; the index may be stale",
    "ValidationError: 1 validation error for Refund amount: Input should be a valid number",
    "update_reservation: permission denied: the reservation belongs to another user",
    "Traceback (most recent call last): File \"app/agent.py\", line 88, in run: KeyError: 'city'",
    "HTTP 429 Too Many Requests: rate limit reached for tokens per minute",
    "json.decoder.JSONDecodeError: Expecting ',' delimiter: line 1 column 212 (char 211)",
    "get_user_details: no user with this id <id>",
    "psycopg.errors.UndefinedColumn: column orders.shipped_at does not exist",
)
_ANSWERS = (
    "",
    "I'm sorry, but I cannot help with that.",
    "Your order has been shipped and will arrive on <date>.",
    "I have cancelled the reservation <id> and refunded the full amount to your gift card.",
    "As of my last update there is no information about this.",
    '{"status": "ok", "items": []}',
    "SELECT customer_id, SUM(amount) AS revenue FROM orders GROUP BY customer_id LIMIT 10;",
    "Sure! Here is a step-by-step guide. First, open the settings of the device. Then choose",
)
_ELSEWHERE = (
    "Wo bleibt meine Bestellung? Sie sollte schon am Montag da sein.",
    "Je voudrais annuler mon vol et être remboursé sur la même carte.",
    "¿Por qué me han cobrado dos veces la misma reserva?",
    "Vorrei cambiare l'indirizzo di consegna del mio ordine.",
    "Não consigo entrar na minha conta desde ontem à noite.",
    "Mijn factuur klopt niet, kunt u die nakijken?",
    "Nie mogę zalogować się do aplikacji po aktualizacji.",
    "Где моя посылка? Она должна была прийти на прошлой неделе.",
    "Siparişim hâlâ gelmedi, iade istiyorum.",
    "أين طلبي؟ لقد دفعت منذ أسبوع.",
    "מתי תגיע החבילה שלי?",
    "मेरा पैसा कब वापस आएगा?",
    "注文をキャンセルしたいのですが、どうすればいいですか。",
    "我的退款什么时候到账?",
    "비밀번호를 잊어버렸어요. 어떻게 해야 하나요?",
    "ฉันต้องการเปลี่ยนวันเดินทาง",
    "Khi nào tôi nhận được tiền hoàn lại?",
    "Kapan pesanan saya sampai?",
    "Πότε θα παραδοθεί το δέμα μου;",
    "Kde je moje zásilka?",
)
_LONG_STEPS = (
    5,
    9,
    14,
    22,
)  # wishes: about 80, 150, 230 and 370 tokens, the last over a window of 256

SAMPLE = "built-in"


def sample_texts() -> list[str]:
    """About 400 distinct texts of 1 to 400 tokens."""
    return list(dict.fromkeys(_texts()))


def _texts() -> Iterator[str]:
    yield from WISHES
    yield from _ELSEWHERE
    for number, wish in enumerate(WISHES):
        for step in (1, 3, 7):
            error = _ERRORS[(number * step + step) % len(_ERRORS)]
            answer = _ANSWERS[(number + step) % len(_ANSWERS)]
            yield "\n".join(part for part in (wish, error, answer) if part)
        yield f"{wish} {WISHES[(number * 7 + 11) % len(WISHES)]}"
        yield wish.upper() if number % 2 else wish.rstrip("?.").lower()
    for number in range(len(WISHES)):
        count = _LONG_STEPS[number % len(_LONG_STEPS)]
        turns = [WISHES[(number + n * 9) % len(WISHES)] for n in range(count)]
        yield " ".join(turns)
        yield "\n".join((" ".join(turns[: count // 2]), _ERRORS[1 + number % 9], _ANSWERS[3]))
    yield from filter(None, _ERRORS)
    yield from filter(None, _ANSWERS)
