"""Sixty people. Their names are what breaks software: many scripts, quotes, hyphens, one word, six words."""

from __future__ import annotations

import unicodedata

NAMES: tuple[str, ...] = (
    "Zoë O'Neil",
    "Noah Müller",
    "ณัฐธิดา ศรีสุข",
    "Leïla Benali",
    "محمد العلي",
    "Jürg Stüssi-Bäni",
    "Ayşe Yıldırım",
    "Søren Ø. Kjær",
    "李小龙",
    "Thi Mai Nguyễn",
    "Łukasz Wiśniewski",
    "Aoife D’Arcy",
    "佐藤 美咲",
    "Björk Guðmundsdóttir",
    "Ольга Иванова",
    "José María de la Peña y Ortiz",
    "김민준",
    "Chloé Lefèvre",
    "נועה כהן",
    "Ioana Ștefănescu",
    "Ragnhild Åse Bjørnstad",
    "Дмитро Шевченко",
    "Priya Raghunathan",
    "समीर पाटिल",
    "Γιώργος Παπαδόπουλος",
    "Bukola Adébáyọ̀",
    "Weiß, Maximilian",
    "Siobhán Ní Bhriain",
    "สมชาย ใจดี",
    "فاطمه رضایی",
    "Dvořák, Jiří",
    "Kealiʻi Kahananui",
    "Tünde Szőke",
    "Sukarno",
    "Mary-Jane St. John-Smythe",
    "Đặng Văn Lâm",
    "Анастасия Кузнецова",
    "Élodie Ng",
    "Mbali Ndlovu",
    "Jean-Baptiste N’Diaye",
    "Ingrīda Bērziņa",
    "தமிழ்ச்செல்வி",
    "Pål Ødegård",
    "Marit van 't Hof",
    "Ólafur Þór Jónsson",
    "王芳",
    "Giulia D'Alò",
    "Tomáš Ľuptak",
    "রহিমা খাতুন",
    "Ximena Ibáñez",
    "Ewa Źdźbło",
    "ሰላም ተስፋዬ",
    "Aino Mäkelä-Hyvönen",
    "Hüseyin Çağrı",
    "გიორგი ბერიძე",
    "Nuala Ó Súilleabháin",
    "Ana João Conceição",
    "อรุณี วงศ์ทอง",
    "Beyoncé Schmidt",
    "Renée du Plessis",
)
"""A `&` would cut a name short on the wire and a `+` would become a blank (§0), so no name has one."""


def name_of(number: int) -> str:
    """The person with this number (from 0); after sixty the names come again, numbered."""
    round_, index = divmod(number, len(NAMES))
    return NAMES[index] if round_ == 0 else f"{NAMES[index]} {round_ + 1}"


_ROMANISED = {
    "ณัฐธิดา ศรีสุข": "Natthida Srisuk",
    "محمد العلي": "Muhammad al-Ali",
    "李小龙": "Li Xiaolong",
    "Ольга Иванова": "Olga Ivanova",
    "佐藤 美咲": "Sato Misaki",
    "김민준": "Kim Minjun",
    "נועה כהן": "Noa Cohen",
    "Дмитро Шевченко": "Dmytro Shevchenko",
    "समीर पाटिल": "Sameer Patil",
    "Γιώργος Παπαδόπουλος": "Giorgos Papadopoulos",
    "สมชาย ใจดี": "Somchai Jaidee",
    "فاطمه رضایی": "Fatemeh Rezaei",
    "Анастасия Кузнецова": "Anastasia Kuznetsova",
    "தமிழ்ச்செல்வி": "Tamilselvi",
    "王芳": "Wang Fang",
    "রহিমা খাতুন": "Rahima Khatun",
    "ሰላም ተስፋዬ": "Selam Tesfaye",
    "გიორგი ბერიძე": "Giorgi Beridze",
    "อรุณี วงศ์ทอง": "Arunee Wongthong",
}
_LETTERS = str.maketrans(
    {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ß": "ss", "ı": "i", "ð": "d", "þ": "th", "Þ": "Th",
     "æ": "ae", "Æ": "Ae", "’": "'", "ʻ": "'"}
)  # fmt: skip


def plain(name: str) -> str:
    """The name in the letters any font has, as it is written into the simulated picture."""
    whole, _, number = name.rpartition(" ")
    if number.isdigit() and whole in _ROMANISED:
        return f"{_ROMANISED[whole]} {number}"
    spelt = unicodedata.normalize("NFKD", _ROMANISED.get(name, name)).translate(_LETTERS)
    return "".join(sign for sign in spelt if sign.isascii())
