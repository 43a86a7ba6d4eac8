"""How the agent puts things. Several ways each, since a model never says it twice the same."""

WORDINGS: dict[str, tuple[str, ...]] = {
    "refusal": (
        "I'm sorry, but I can't help with that request.",
        "I can't assist with anything that could cause harm. Is there something else?",
        "That is not something I am able to talk about. Let me know if you have another question.",
    ),
    "which_order": (
        "Happy to look. What is your order number?",
        "Sure! Could you give me the order number, please?",
    ),
    "no_idea": (
        "I'm not sure I understood. Could you put it differently?",
        "Sorry, I did not get that. What can I do for you?",
    ),
    "place": (
        "Your parcel {tracking} ({carrier}) is at {place}.",
        "Good news: I found it. {carrier} has it at {place}, tracking number {tracking}.",
        "According to {carrier} it is now at {place}. The tracking number is {tracking}.",
    ),
    "no_place": (
        "I could not find out where your parcel is. Please try again later.",
        "The tracking information is not available at the moment, sorry about that.",
        "I wasn't able to get an answer from the carrier. Please check back later today.",
    ),
    "in_stock": (
        "Yes, the {name} is in stock: {units} left.",
        "We have {units} of the {name}, ready to ship.",
        "There are {units} of the {name} in our warehouse, so go ahead.",
    ),
    "sold_out": (
        "I'm afraid the {name} is sold out.",
        "Unfortunately the {name} is sold out at the moment.",
        "Sorry, the {name} is sold out right now and I have no date for the next delivery.",
    ),
    "moved": (
        "Done: order {order} will now come on {delivery}.",
        "I've moved the delivery of {order} to {delivery}.",
    ),
    "not_moved": (
        "I could not change the delivery day. Please try again.",
        "Something went wrong when I tried to move your delivery, sorry.",
        "It was not possible to reschedule this delivery right now.",
    ),
    "refunded": (
        "I've refunded {refunded:.2f} euros for order {order}. It takes two to three days.",
        "{refunded:.2f} euros for order {order} are on their way back to you.",
    ),
    "not_refunded": (
        "I could not issue the refund. Please contact our team by phone.",
        "The refund did not go through, I'm sorry. Please try again later.",
        "Something went wrong with your refund and nothing was paid out.",
    ),
    "cancelled": (
        "Your seed box subscription is cancelled. You will not be charged again.",
        "Done, the subscription has ended. Thank you for having been with us!",
    ),
    "order": (
        "Order {order}: {items}. You paid {total:.2f} euros, and it is due on {delivery}.",
        "Here is order {order}: {items}; total {total:.2f} euros, planned for {delivery}.",
    ),
    "help": ("{text}", "Sure: {text}", "{text} Anything else?"),
}
