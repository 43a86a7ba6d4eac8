from dedup.log_lines import without_repetition
from dedup.masks import masked_error


def templates(text: str) -> list[str]:
    return without_repetition(masked_error(text).splitlines())


LOG = """2024-05-06 10:11:12,123 INFO connecting to host alpha
2024-05-06 10:11:13,456 WARNING retry 1 of 5 failed
2024-05-06 10:11:14,456 WARNING retry 2 of 5 failed
2024-05-06 10:11:15,456 INFO connecting to host beta
giving up"""


def test_lines_of_a_log_become_their_templates_each_once() -> None:
    assert templates(LOG) == ["connecting to host <*>", "retry <id> of <id> failed", "giving up"]


def test_how_often_and_of_which_host_a_log_says_it_changes_nothing() -> None:
    longer = LOG.replace(
        "giving up",
        "2024-05-06 10:11:19,1 INFO connecting to host gamma\n"
        "2024-05-06 10:11:20,1 WARNING retry 3 of 5 failed\ngiving up",
    )
    assert templates(longer) == templates(LOG)


def test_the_templates_of_one_text_do_not_depend_on_other_texts() -> None:
    """Exact lookups need it: another worker has seen other texts before."""
    before = templates(LOG)
    for host in ("one", "two", "three"):
        templates(f"[INFO] closing the host {host}\n[INFO] closing the port {host}")
    assert templates(LOG) == before


def test_lines_that_are_not_of_a_log_stay_apart() -> None:
    said = "field name is required\nfield email is required"
    assert templates(said) == said.split("\n")
    assert templates("ERROR: the refund failed") == ["ERROR: the refund failed"]


def test_templates_need_most_words_in_common() -> None:
    said = templates("[ERROR] refund of order\n[ERROR] cancel of order")
    assert said == ["refund of order", "cancel of order"]


def test_empty_lines_and_bare_times_say_nothing() -> None:
    assert templates("10:11:12 INFO\n10:11:13 INFO a b c d\n") == ["a b c d"]
