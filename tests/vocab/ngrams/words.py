"""Words for the tests of n-grams: scripts, emoji, awkward lengths, and bytes that aren't UTF-8."""

import random

SCRIPTS = {
    "latin": "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789.-'_<>",
    "accented": "éèêñöüßøåçłžđıİğşẞœæ",
    "greek": "αβγδεζηθικλμνξοπρστυφχψωάέή",
    "cyrillic": "абвгдежзийклмнопрстуфхцчшщъыьэюяіїґ",
    "armenian": "աբգդեզէըթժիլխծկհձղճմյն",
    "georgian": "აბგდევზთიკლმნოპჟრსტ",
    "hebrew": "אבגדהוזחטיכלמנסעפצקרשת",
    "arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "devanagari": "अआइईउऊकखगघचछजझटठडढणतथदधनपफबभमािीुूेैोौ्ं",
    "tamil": "அஆஇஈகஙசஞடணதநபமயரலவழளறனாிீுூெ",
    "thai": "กขคงจฉชซญฐณดตถทธนบปผฝพฟภมยรลวศษสหอฮะาิีึืุูเแโใไ่้",
    "hangul": "가나다라마바사아자차카타파하한국어말",
    "kana": "あいうえおかきくけこさしすせそアイウエオカキクケコー",
    "han": "中文字漢語日本人大小山川水火木金土𠀀𠮷𪚥",
    "emoji": "😀👍🏽👩\u200d💻🇩🇪❤️🎉𝔘𝕏",
    "marks": "e\u0301a\u0308o\u0302n\u0303u\u0327\u0323\u0489",
}
SPECIAL = [
    *(
        "",
        "a",
        "é",
        "中",
        "😀",
        "<",
        ">",
        "<>",
        "</s>",
        " ",
        "\u00a0",
        "\0",
        "a\0b",
        "\x7f",
        "\x80",
        "ÿ",
        "\ufeff",
        "\uffff",
    ),
    *(
        "ab",
        "abc",
        "abcd",
        "日本語",
        "naïve",
        "berlinification",
        "Unabhängigkeitserklärung",
        "\U0010ffff" * 3,
    ),
    *("x" * 14, "x" * 15, "x" * 16, "ж" * 31, "中" * 63, "x" * 64, "x" * 65, "ab" * 100, "ü" * 150),
]
INVALID = [
    *(
        b"\x80",
        b"\xff",
        b"\xc3",
        b"a\x80",
        b"\x80a",
        b"\xc3a",
        b"\xe2\x82",
        b"\xe2\x82a",
        b"\xf0\x9f\x98",
        b"ab\xf0\x9f",
    ),
    *(
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
    ),
    *(
        b"\xe0\xa0",
        b"\xed\x9f\xbf",
        b"\xee\x80\x80",
        b"\xf4\x8f\xbf\xbf",
        b"\xc3\xa9\x80",
        b"\xe4\xb8\xad\x80\x80",
    ),
    *(b"a" + b"\x80" * n + b"bcdef" for n in (2, 3, 4, 5, 11, 14, 15, 16, 30)),
    *(b"\x80" * n for n in (3, 4, 5, 12, 63, 64, 65, 90)),
    *(
        b"\xf0\x9f\x98\x80\x80\x80",
        b"\x00\x80\x00",
        bytes(range(0x75, 0x95)),
        bytes(range(0xB5, 0x100)),
    ),
]


def some_words(count: int, seed: int = 0, longest: int = 14) -> list[str]:
    """Random words, most of one script, some of several."""
    rng = random.Random(seed)
    names = list(SCRIPTS)
    words = []
    for _ in range(count):
        if rng.random() < 0.8:
            letters = SCRIPTS[rng.choice(names)]
        else:
            letters = "".join(SCRIPTS[name] for name in rng.sample(names, 3))
        words.append("".join(rng.choices(letters, k=rng.randint(0, longest))))
    return words


def some_bytes(count: int, seed: int = 0, longest: int = 12) -> list[bytes]:
    """Random bytes, rich in lead and continuation bytes, most of them no UTF-8."""
    rng = random.Random(seed)
    pool = [
        *b"abz<>\x00\x7f",
        *range(0x80, 0xC0, 3),
        *b"\xc2\xc3\xdf\xe0\xe2\xed\xef\xf0\xf4\xf5\xff",
        *[0x80, 0xBF] * 6,
    ]
    return [bytes(rng.choices(pool, k=rng.randint(0, longest))) for _ in range(count)]


def decoded(raw: bytes) -> str:
    """The `str` that stands for any bytes (PEP 383)."""
    return raw.decode("utf-8", "surrogateescape")
