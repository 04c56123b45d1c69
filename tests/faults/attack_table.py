"""The table of docs/attacks.md as data: for each attack who notices it, by what words, and who does not. The tests hold both to it.

``python -m tests.faults.attack_table`` prints the table and the explanations as they stand in the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# The columns, as they stand in the page.
COLUMNS = ("verify", "verifier", "witness", "second mirror", "start", "time stamps")


@dataclass(frozen=True)
class Cell:
    """words: what the page says. found: each check of this detector that notices, with a part of its reason; none: it does not notice."""

    words: str
    found: Mapping[str, str]

    def __str__(self) -> str:
        return f"**yes**: {self.words}" if self.found else f"no: {self.words}"


@dataclass(frozen=True)
class Attack:
    """A row. act: the function in ``attack_acts``. cells: by column. why: two sentences. old: the database is an old backup."""

    key: str
    name: str
    act: str
    cells: Mapping[str, Cell]
    why: str
    old: bool = False


def yes(words: str, **found: str) -> Cell:
    return Cell(words, {name.replace("_", " "): part for name, part in found.items()})


def no(words: str) -> Cell:
    return Cell(words, {})


def cells(verify: Cell, verifier: Cell, witness: Cell, mirror: Cell, start: Cell, stamps: Cell) -> Mapping[str, Cell]:
    return dict(zip(COLUMNS, (verify, verifier, witness, mirror, start, stamps), strict=True))


# What is said more than once.
WHOLE = no("whole in itself")
APART = no("not in what is handed out")
ROOTS = no("no root changed")
SAME = no("what is served is the same")
ELSEWHERE = no("does not look there")
HOLD = no("they still hold")
SPLIT = yes("does not continue what was kept; no quorum", consistency="split log", quorum="The quorum is not reached")
SHORTER = yes("smaller than what was kept", consistency="in the wrong order")
UNCOSIGNED = yes("no quorum", quorum="The quorum is not reached")
BEHIND = yes("behind the head guard", start="an old backup was put back")
UNLIKE = yes("not what the head guard saw", start="are not those the head guard has seen")
PUT_BACK = yes("halt: it signed more", halt="an older state was put back")
FORKED = yes("halt; evidence of a fork", halt="another tree of 290 entries", evidence="fork 290/290")
UNPROVEN = yes("halt; evidence, unproven", halt="do not continue what it has signed", evidence="unproven 290/291")
NAMED = yes("names the first other entry", compare="is another")
FEWER = yes("fewer entries than once", compare="270 entries, once 290")
GAP = yes("old hours without a stamp", gap="04:00")
TOKENS = yes("tokens are not the subjects", verify="indeks sentuhan (touch_index) tidak sama")
TILE = yes("not made of the leaves", verify="Ubin pohon (trail_tile)")
TILES = yes("by `tiles`", tiles="not what the entries give")
SERVED_TILE = yes("another root", tiles="another root")

ATTACKS = (
    Attack(
        "1", "One entry's body edited", "edit_body",
        cells(
            yes("leaf and columns differ", verify="isi (body) dan hash daunnya (leaf) tidak cocok"),
            yes("chain", export="was changed: the chain of prev is broken"),
            ROOTS,
            yes("chain", tiles="does not follow the one before"),
            no("reads tiles, not bodies"),
            HOLD,
        ),
        "Whoever reads the entry hashes it, and the hash is neither its leaf nor what the next entry carries. "
        "Witness and start only see hashes that nobody touched.",
    ),
    Attack(
        "2", "One entry edited, its leaf made anew", "edit_leaf",
        cells(
            yes("chain and root", verify="akar pohonnya bukan yang ditandatangani"),
            yes("chain", export="was changed: the chain of prev is broken"),
            ROOTS,
            yes("chain", tiles="does not follow the one before"),
            no("a full tile stands for the leaf"),
            HOLD,
        ),
        "The next entry still carries the hash of the old bytes, and the signed roots are over the old leaf. "
        "The guard itself adds up stored tiles, so it goes on publishing true roots; below a tile that is not full yet the start would notice.",
    ),
    Attack(
        "3", "One entry edited, everything after it rehashed, without the log's key", "rehash",
        cells(
            yes("root", verify="akar pohonnya bukan yang ditandatangani"),
            yes("root", export="is not the checkpoint's"),
            no("nothing new is signed"),
            yes("root", tiles="another root"),
            UNLIKE,
            HOLD,
        ),
        "Chain, leaves, tiles and head agree with each other and not with any signature. "
        "The guard appends nothing to a head that its own checkpoint does not bear out, so the witness is only shown what was signed before.",
    ),
    Attack(
        "4", "The same with the stolen key, every checkpoint signed again", "resign",
        cells(WHOLE, SPLIT, FORKED, NAMED, UNLIKE, GAP),
        "Nothing inside the database contradicts itself any more; what others hold does: a checkpoint, a copy, the witness's state, the head guard's file. "
        "The witnesses' signatures cannot be made again, and an authority stamps no hour that is past.",
    ),
    Attack(
        "5", "The end cut off, the head put back to a true older checkpoint", "truncate",
        cells(WHOLE, SHORTER, PUT_BACK, FEWER, BEHIND, no("hours that are gone need none")),
        "Every remaining byte is genuine and was once published, with its cosignatures. "
        "Only somebody who remembers a larger size can object, and a key is not even needed for the attack.",
    ),
    Attack(
        "6", "The end cut off and grown again with other entries, with the key", "regrow",
        cells(WHOLE, SPLIT, UNPROVEN, NAMED, UNLIKE, GAP),
        "The old beginning is true, the new end is signed, and no consistency proof leads from what was seen to it. "
        "The hour whose entries were replaced has lost its stamp.",
    ),
    Attack(
        "7", "One entry deleted, all after it renumbered, with the key", "delete",
        cells(
            WHOLE,
            yes("smaller than what was kept; no quorum", consistency="in the wrong order", quorum="The quorum is not reached"),
            PUT_BACK, NAMED, BEHIND, GAP,
        ),
        "The log is one entry shorter than what was seen, and from the gap on every entry is another. "
        "Were it grown beyond the old size first, it would be noticed as in 6.",
    ),
    Attack(
        "8", "Two entries swapped, with the key", "swap",
        cells(WHOLE, SPLIT, FORKED, NAMED, UNLIKE, GAP),
        "The same size with another root is the plainest fork there is: both checkpoints carry the log's signature. "
        "Inside, an entry dated before the one in front of it is not wrong by itself, since order is the number.",
    ),
    Attack(
        "9", "A copied entry put in a second time, with the key", "replay",
        cells(WHOLE, SPLIT, UNPROVEN, NAMED, UNLIKE, GAP),
        "The copy opens under its key and bears out its subjects, so the log alone does not show that it happened once. "
        "Everything behind it moved by one, which nobody who saw the log before can be shown.",
    ),
    Attack(
        "10a", "Split view, one history for each of two witnesses, a quorum of all", "split",
        cells(
            WHOLE,
            yes("no quorum in either view", quorum="The quorum is not reached (quorum, 1/2 witnesses)"),
            no("each saw one history"),
            NAMED,
            no("each database goes on from the head guard"),
            no("an authority sees digests, not histories"),
        ),
        "Neither view gathers both signatures, so an outsider who demands all of them is shown nothing valid. "
        "A mirror of one view, held against the other, names the entry; and once either guard lets itself be asked by the other's witness, the log halts.",
    ),
    Attack(
        "10b", "The same, a quorum of any", "split_any",
        cells(
            WHOLE,
            no("either signature is enough"),
            no("each saw one history"),
            NAMED,
            no("each database goes on from the head guard"),
            no("an authority sees digests, not histories"),
        ),
        "Each view is a valid log with a valid quorum: a policy of *any* trusts every single witness to be the only one. "
        "Only two people who compare see it, which is why a quorum should ask for more than half of the witnesses.",
    ),
    Attack(
        "11", "The whole database put back to an older backup, under the witness, and gone on with", "roll_back",
        cells(WHOLE, SHORTER, PUT_BACK, FEWER, BEHIND, no("hours that are gone need none")),
        "As 5, but every table is of one age, so that not even rows of voters differ from the log. "
        "The witness stops it with the first checkpoint that it is asked to sign; before that, the head guard keeps it from starting.",
        old=True,
    ),
    Attack(
        "12", "A receipt forged with the stolen key and shown to a court", "forge_receipt",
        cells(
            no("nothing in the database changed"),
            yes("with `--policy` alone", receipt_with_policy="The quorum is not reached"),
            no("was not shown it"),
            yes("another tree", compare="the receipt is of another tree of 290 entries"),
            no("nothing in the database changed"),
            no("nothing in the database changed"),
        ),
        "With the key alone the forgery is **good**: the key is what was stolen. "
        "A policy refuses it, any copy of the log contradicts it, and whoever hands it to a witness gives that witness evidence of a fork.",
    ),
    Attack(
        "13", "An old row of a voter put back", "put_back_a_voter",
        cells(
            yes("`--store`: older than the log says", verify="put back to version 1; the log wrote version 2"),
            APART, ROOTS, SAME, ELSEWHERE, HOLD,
        ),
        "The old row's seal is valid, but the entry of the correction names version and seal of the row that it wrote. "
        "Rows of voters are no part of what outsiders are handed, so nobody there can see one.",
    ),
    Attack(
        "14a", "A payload emptied without an erasure entry", "empty_a_payload",
        cells(yes("not what the entry digests", verify="tidak cocok dengan sidik di entri"), APART, ROOTS, SAME, ELSEWHERE, HOLD),
        "The entry holds the SHA-256 of the sealed payload, and no entry excuses its absence. "
        "Outsiders have the digest and not the payload.",
    ),
    Attack(
        "14b", "A payload emptied under an erasure entry of another payload", "empty_under_anothers_name",
        cells(yes("not what that entry names", verify="bukan yang disebut entri ini"), APART, ROOTS, SAME, ELSEWHERE, HOLD),
        "An erasure entry's detail is a digest over the very payloads that were ordered to go, and one more makes another digest. "
        "Outsiders have the digest and not the payload.",
    ),
    Attack(
        "15a", "A touch token added to an entry", "add_a_token",
        cells(TOKENS, APART, ROOTS, SAME, ELSEWHERE, HOLD),
        "The tokens are made again from the subjects in the sealed payload and compared as a set. "
        "That takes the index key, so only the guard can tell.",
    ),
    Attack(
        "15b", "A touch token removed", "remove_a_token",
        cells(TOKENS, APART, ROOTS, SAME, ELSEWHERE, HOLD),
        "As 15a: a voter is to be told that nobody looked, and verify finds the entry that says otherwise. "
        "Without the index key the number of tokens still gives it away.",
    ),
    Attack(
        "16a", "A hash in a stored tile forged", "forge_a_tile",
        cells(TILE, TILES, ROOTS, SERVED_TILE, no("adds up the roots of full tiles"), HOLD),
        "Tiles follow from entries, so everybody who has the entries can make them again. "
        "The root beside the tile was left alone, and that is what the guard's own start adds up.",
    ),
    Attack(
        "16b", "A hash in a stored tile and the tile's root forged", "forge_a_tile_and_its_root",
        cells(TILE, TILES, no("nothing new is published"), SERVED_TILE, UNLIKE, HOLD),
        "Now the tiles lead to another root than the signed one, and the guard refuses to start and to publish. "
        "So nothing forged reaches the witness.",
    ),
    Attack(
        "17a", "A stored cosignature changed", "change_a_cosignature",
        cells(
            yes("not the witness's", verify="Tanda tangan saksi atas checkpoint ukuran 290 tidak sah"),
            yes("void", quorum="its cosignature is not valid"),
            no("signs anew when asked"), SAME, ELSEWHERE, HOLD,
        ),
        "One wrong signature of a known witness makes the checkpoint void for whoever demands a policy. "
        "It heals by itself: at the next turn the witness signs again.",
    ),
    Attack(
        "17b", "A cosignature deleted", "delete_a_cosignature",
        cells(no("no row says that it was there"), UNCOSIGNED, no("signs anew when asked"), SAME, ELSEWHERE, HOLD),
        "A missing signature is no proof of anything, and a policy does not accept its absence either. "
        "It heals by itself: at the next turn the witness signs again.",
    ),
    Attack(
        "17c", "A cosignature replaced by one of the attacker's own key under the witness's name", "forge_a_cosignature",
        cells(no("an unknown key: its form is right"), UNCOSIGNED, no("signs anew when asked"), SAME, ELSEWHERE, HOLD),
        "A name is nothing, the key counts: whoever brings the policy does not know this one and passes over its line. "
        "Verify checks lines of the keys on the list, and of others only the form.",
    ),
    Attack(
        "18a", "The approved list of witnesses deleted", "delete_the_list",
        cells(
            yes("the log tells of it", verify="barisnya hilang (witness_policy): 1"),
            UNCOSIGNED,
            no("is not asked any more"),
            SAME,
            yes("the log tells of it", start="approved lists of witnesses are gone"),
            HOLD,
        ),
        "The guard would go on without any witness, and its gates would be open; but the entry of the approval stands in the log. "
        "An outsider has the policy from elsewhere and misses the signatures from the next checkpoint on.",
    ),
    Attack(
        "18b", "A list of the attacker's own put in its place", "put_in_a_list",
        cells(
            yes("seal", verify="witness_policy 1: a column does not match the seal"),
            no("nothing new is published"), no("is not asked any more"), SAME,
            yes("seal", start="witness_policy 1: a column does not match the seal"),
            HOLD,
        ),
        "The row is sealed by a key that is not in the database, and a broken seal stops publishing, gates and start. "
        "What was published before is as good as ever.",
    ),
    Attack(
        "19a", "A halt deleted, over a database that was put back", "delete_a_halt",
        cells(no("no row says that it was there"), SHORTER, PUT_BACK, FEWER, BEHIND, no("hours that are gone need none")),
        "The halt is only a note of what the witness says; asked again, it says the same, and the log halts again. "
        "The head guard's file does not lie in the database.",
        old=True,
    ),
    Attack(
        "19b", "A halt lifted by a row, without the entry of `gardu audit resume`", "lift_a_halt",
        cells(
            yes("no entry speaks of the lift", verify="tidak disebut entri mana pun"), SHORTER, no("its claim counts as set aside"), FEWER, BEHIND, no("hours that are gone need none")
        ),
        "A lift of a huge size makes the guard deaf to the witness; verify, and the next start where no head guard speaks first, miss the entry that belongs to a lift. "
        "The witness still signs nothing, so freshness ends, the gates stay shut, and a policy refuses what is published.",
        old=True,
    ),
    Attack(
        "20", "Entries dated back", "date_back",
        cells(
            yes("entries and stamps contradict each other", verify="bertanggal jauh sebelumnya"), no("order is the number"), no("signs a tree, not its dates"), SAME, ELSEWHERE,
            yes("older than a stamp they stand behind", date="bertanggal jauh sebelumnya"),
        ),
        "An entry that is older than a stamp would stand in what was stamped, and it does not. "
        "`gardu audit verify` compares the two where an authority is set, and says so from half an hour on: work that takes less may be dated when it began.",
    ),
    Attack(
        "21a", "The witness lies: it claims to have signed a huge size", "claim_a_huge_size",
        cells(
            yes("says that the log is halted", verify="Jejak ini dihentikan"), UNCOSIGNED,
            yes("halt: that is the harm", halt="has signed 100000 entries"),
            SAME,
            yes("says that the log is halted", start="is halted since"),
            HOLD,
        ),
        "The guard cannot know who is wrong and stands still; so any witness on the list can stop the log. "
        "The way back is a person: `gardu audit resume` with what was found out, and then claims of up to that size no longer count.",
    ),
    Attack(
        "21b", "The witness lies: it dates its signature a day ahead", "sign_in_the_future",
        cells(
            no("is not kept"), UNCOSIGNED, no("the signature is not counted, the log goes on"), SAME, ELSEWHERE, HOLD,
        ),
        "A signature from the future would stay fresh for too long; guard and verifier pass over it and say so. "
        "While the quorum is missing the gates are shut; two people take the witness off the list, in force 72 hours later.",
    ),
    Attack(
        "21c", "The witness refuses to sign", "refuse_to_sign",
        cells(no("nothing is stored"), UNCOSIGNED, no("the log goes on"), SAME, ELSEWHERE, HOLD),
        "The log goes on, and says that it is not fresh. "
        "As 21b: what needs a fresh signature waits, and two people can replace the witness.",
    ),
    Attack(
        "22", "The KPU and every witness collude: log, head guard and witnesses' state rewritten together", "collude",
        cells(
            WHOLE,
            yes("only by what somebody kept", consistency="split log"),
            no("forgot, and signed"),
            NAMED,
            no("its file was rewritten too"),
            GAP,
        ),
        "Export, tiles, signatures and quorum are all good: nothing that the colluders hold shows it. "
        "A receipt, a checkpoint or a mirror in other hands does; and if time stamps were set, old hours without one are a question that they must answer.",
    ),
)  # fmt: skip


def page() -> Iterator[str]:
    """Yield the lines of the page that follow from the table."""
    yield f"| No. | Attack | {' | '.join(COLUMNS)} |"
    yield "|---" * (2 + len(COLUMNS)) + "|"
    for attack in ATTACKS:
        yield f"| {attack.key} | {attack.name} | {' | '.join(str(attack.cells[column]) for column in COLUMNS)} |"
    yield ""
    yield "## Why"
    yield ""
    for attack in ATTACKS:
        yield f"- **{attack.key}** {attack.name}. {attack.why}"


if __name__ == "__main__":
    print("\n".join(page()))
