#!/usr/bin/env python3
"""Small fixtures: tokenizer, prompt cleaning, torch's CPU noise.

    python make_fixtures.py OUT         (OUT is tests/fixtures)

OUT/tokenizer/spiece.model      a unigram SentencePiece model as umT5's: nmt_nfkc, byte fallback, pad 0, eos 1, bos 2, unk 3
OUT/tokenizer/tokenizer.json    what transformers' T5 converter makes of it (byte fallback off, as that converter leaves it)
OUT/tokenizer/ids.json          strings with SentencePiece's ids (+ eos); then those for which tokenizer.json gives other ids,
                                as it is and with "byte_fallback" set to true in it, with these ids
OUT/prompt_clean.json           strings with diffusers' prompt_clean of them
OUT/torch_randn.json            torch.randn on the CPU: first and last 20 values by seed and size
"""
import io
import itertools
import json
import os
import sys
import types

import sentencepiece
import tokenizers
import torch
from diffusers.pipelines.wan.pipeline_wan import prompt_clean
from transformers.convert_slow_tokenizer import T5Converter

# Wan's default negative prompt (functional data of the original repositories).
NEGATIVE = ("色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，丑陋的，残缺的，"
            "多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走")

SENTENCES = """
The quick brown fox jumps over the lazy dog. | Two cats box on a stage, in warm light! | A slow dolly shot; 35 mm film, f/1.8, 24 fps.
Portrait of an old fisherman, weathered face, golden hour. | Is it raining? No, it's snowing (lightly). | "Hello," she said -- and left.
Le café est fermé à midi, près de l'hôtel. | Ein großer Bär läuft über die Straße nach München. | El niño corre mañana por la montaña.
Åse går på ski i fjället; många älgar. | Žluťoučký kůň úpěl ďábelské ódy. | Dzień dobry, łódź płynie żwawo. | Çok güzel bir gün, değil mi?
Быстрая лиса прыгает через ленивую собаку. | Красный шар летит вверх. | Η γρήγορη αλεπού πηδάει. | שלום עולם | مرحبا بالعالم
一只红色的气球在蓝天中缓缓上升。 | 夕阳下的海边，女孩在奔跑，电影质感。 | 两只拟人化的猫在聚光灯下的舞台上激烈地打斗。
静かな湖の上を白い鳥が飛ぶ。 | 東京の夜、雨の街角。 | 붉은 공이 왼쪽으로 움직인다. | नमस्ते दुनिया | สวัสดีชาวโลก
ＡＢＣ　ｘｙｚ　１２３！ | ﬁne ﬂow oﬃce | x² + y³ = ½ ™ © ® № ℃ | 🎬 action! 🚀 🌊 🐱 👍 ❤️ | #hashtag @user https://example.org/a?b=c&d=e
0 1 2 3 4 5 6 7 8 9 10 42 100 720p 1080p 4K 16:9 1,000.50 $5 €7 50% | a_b-c+d*e/f=g<h>i [j] {k} ~l ^m `n \\o
""".strip().replace("\n", " | ").split(" | ")


def corpus():
    colours = "red green blue yellow white black purple orange".split()
    shapes = "circle square triangle star cat dog boat bird car tree".split()
    moves = "moves left,slides right,flies up,falls down,spins slowly,jumps,waves in the wind,glides through fog".split(",")
    places = "on a white background,in the rain,at night,over the sea,under a bridge,in a neon city".split(",")
    prompts = [f"a {c} {s} {m} {p}" for (c, s), (m, p) in zip(itertools.product(colours, shapes), itertools.cycle(itertools.product(moves, places)))]
    return SENTENCES * 4 + [NEGATIVE] * 2 + NEGATIVE.split("，") * 2 + prompts * 3


STRINGS = [
    "", " ", "   ", "\t", "\n", "\r\n", "a", " a", "a ", "  a  ", "a  b", "a   b    c", "a\tb", "a\nb", "a\r\nb", "\ta\n", "a \n b", "a\u00a0b",
    "a\u2003b", "a\u3000b", "\u3000a\u3000", "a\u200bb", "a\u200db", "\ufeffa", "a\u00adb", "a\u0000b", "a\u0001b\u001fc\u007fd", "a\u0085b",
    "a\u2028b\u2029c", "\u202eabc\u202c", "▁", "▁a", "a▁b", "▁▁a", "a ▁ b", "<pad>", "</s>", "<s>", "<unk>", "a</s>b", "<unk> a", "<extra_id_0>", "<0x41>",
    *SENTENCES, NEGATIVE, NEGATIVE[:20], "“quotes” ‘single’ «guillemets» „low“", "dash – em — minus − hyphen‐", "ellipsis… three...",
    "ﬀ ﬁ ﬂ ﬃ ﬄ ﬅ ﬆ", "Ⅷ ⅳ ① ㈱ ㍿ ㎏ ㏒", "ｶﾞｷﾞｸﾞ ﾊﾟ", "カ\u3099 か\u3099", "e\u0301 é E\u0301 É", "o\u0308u\u0308a\u030a", "a\u0323\u0302 ậ", "n\u0303o", "İstanbul ıI",
    "ẞ ß ſ", "Ω Ω K K Å Å", "x²³¹⁰ⁿ ₀₁₂", "½ ¼ ¾ ⅓", "ⓐⓑⓒ ⒜", "𝐀𝐁𝐂 𝒶𝒷𝒸 𝟘𝟙𝟚", "각 한국어 각", "각", "힣 ힱ", "٠١٢٣ ۱۲۳ ०१२", "ﷺ ﷲ ﻻ",
    "👨‍👩‍👧‍👦", "👩🏽‍🚀 🏳️‍🌈", "🇩🇪🇫🇷", "☺ ☺️ ☺︎", "❤ ❤️", "1️⃣ #️⃣", "🫠🫡🦩", "🎬🎬🎬", "a🎬b", "🚀 rocket",
    "日本語とEnglishの混在テキスト", "中文English混合123", "繁體中文測試", "龘靐齉", "𠮷野家", "〇一二三", "「引用」『二重』【括弧】", "、。・！？", "～〜~", "￥＄％＆",
    "ａ，ｂ．ｃ；ｄ：ｅ？ｆ！", "（ａ）［ｂ］｛ｃ｝", "Ａ Red Ｃircle", "１２３４５６７８９０", "ªº", "µ μ", "´ ` ¨ ^", "·•∙⋅", "№ ℡ ™ ℠", "ǅ ǆ Ǆ", "ĳ Ĳ ŀ ŉ",
    "THE QUICK BROWN FOX", "The Quick Brown Fox", "thequickbrownfox", "t h e", "foxfoxfox", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "zzzzqqqqxxxx", "Supercalifragilisticexpialidocious",
    "1234567890", "3.14159", "1,000,000", "1e-5", "0x1F", "16:9", "24fps", "4K UHD", "f/1.8", "50%", "C++ & C#", "a&b", "a&amp;b", "<b>bold</b>", "{json: [1, 2]}", "path/to/file.txt",
    "user@example.org", "https://example.org/?q=a%20b#c", "don't can't it's", "rock'n'roll", "well-known", "snake_case", "camelCase", "...", "!!!", "?!", "-", "--", "---", "()", "\"", "'", "\\", "/", "|",
    "a red circle moves left on a blue background", "A RED CIRCLE MOVES LEFT", "a green  cat   jumps    in the rain ", " leading", "trailing ", "new\nline prompt\n\nwith gaps",
    "(masterpiece:1.2), best quality", "blurry, low quality, static, worst quality", "\ud7ff\ue000\ufffd", "\uffff", "\U0010ffff", "\U000e0041", "a\u0300\u0301\u0302\u0303\u0304b",
    "Z̷̢a̸l̵g̶o̴", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "ກຂຄ", "ქართული", "հայերեն", "ትግርኛ", "ᚠᚢᚦ", "ꙮ", "𓀀𓁐", "اَلْعَرَبِيَّةُ", "עִבְרִית",
    "a" * 300, "a red circle " * 60, "长" * 40, "é" * 50, "mixed 空格 and\u3000全角 spaces", "\u200e\u200fmarks", "a\u0009\u000b\u000cb", "end.", "end .", " . ", ",,,", "a,b", "a, b", "a ,b",
]

CLEAN = [
    "", " ", "\n", "plain text", "  many   spaces  ", "tab\tand\nnewline\r\n here", "a\u00a0b", "a\u3000b", "a\u2003b\u2009c", "a\u200bb", "\ufeffbom", "a\u2028b", "a\x0bb\x0cc", "\x1c\x1d\x1e\x1f a",
    "a\u0085b", "&amp;", "&amp;amp;", "&amp;amp;amp;", "&lt;b&gt;bold&lt;/b&gt;", "&quot;quoted&quot;", "&#39;single&#39;", "&#x27;hex&#x27;", "&nbsp;space&nbsp;", "&eacute;t&eacute;", "&EACUTE;T&Eacute;",
    "&hearts; &copy; &trade;", "&unknown; entity", "&amp no semicolon", "&notit; &notin;", "a & b", "AT&T", "&#0; &#128; &#150; &#x110000; &#xD800;", "&#1; &#11; &#127;", "<p>a &lt; b</p>", "a < b &amp; c",
    "cafÃ©", "cafÃƒÂ©", "âœ” No problems", "Itâ€™s â€œquotedâ€\x9d", "Iâ€™m â€“ here", "naÃ¯ve faÃ§ade", "l’humanitÃ©", "schÃ¶n grÃ¼n", "Ã  perturber la rÃ©flexion", "ã\x81\x93ã‚“ã\x81«ã\x81¡ã\x81¯",
    "ä½\xa0å¥½", "Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "ðŸ˜\x82", "\x93smart\x94 \x96 \x85", "“curly” ‘quotes’", "‚low‛ „double‟", "ﬁne ﬂow oﬃce", "ＬＯＵＤ　ＮＯＩＳＥＳ", "ﾊﾝｶｸ", "e\u0301", "o\u0308", "\x1b[36;44mcolour\x1b[0m", "nul\x00l", "\ufffd",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), NEGATIVE, "a red circle &amp; a blue square", " A\tred  &lt;circle&gt;\n", "Ünïcödé stays", "…", "½ ™ ①", "\u202eright to left", "don\u0092t", "&#8217;s", "&lsquo;x&rsquo;", "Ĳ ŉ ǆ",
    "&sup2; &frac12;", "price: 5 &euro;", "&#128512;", "100% &percnt;", "&lt;&lt;&gt;&gt;", "&Tab;x&NewLine;y", "&ampamp;", "two&nbsp;&nbsp;spaces",
]


def train_spiece():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()), model_writer=model, vocab_size=900, model_type="unigram", normalization_rule_name="nmt_nfkc",
        byte_fallback=True, pad_id=0, eos_id=1, bos_id=2, unk_id=3, character_coverage=0.98, hard_vocab_limit=False, num_threads=1, minloglevel=2)
    return model.getvalue()


def converted(path, byte_fallback):
    """transformers' own T5 conversion; `byte_fallback` is what it sets to false for T5."""
    converter = T5Converter(types.SimpleNamespace(vocab_file=path, _extra_ids=4, legacy=True, convert_tokens_to_ids={"</s>": 1}.get))
    converter.handle_byte_fallback = byte_fallback
    return converter.converted()


def write(value, *path):
    with open(os.path.join(*path), "w") as file:
        json.dump(value, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


def one_per_line(rows, *path):
    with open(os.path.join(*path), "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(r, ensure_ascii=True) for r in rows) + "\n]\n")


def tokenizer(out):
    os.makedirs(out, exist_ok=True)
    path = os.path.join(out, "spiece.model")
    with open(path, "wb") as file:
        file.write(train_spiece())
    spiece = sentencepiece.SentencePieceProcessor(model_file=path)
    names = {"tokenizer.json": converted(path, False), "tokenizer.json, byte_fallback true": converted(path, True)}
    names["tokenizer.json"].save(os.path.join(out, "tokenizer.json"))
    strings = list(dict.fromkeys(STRINGS))
    rows = [dict(text=s, ids=spiece.encode(s) + [1]) for s in strings]
    differ = {name: [dict(text=r["text"], ids=t.encode(r["text"]).ids) for r in rows if t.encode(r["text"]).ids != r["ids"]] for name, t in names.items()}
    with open(os.path.join(out, "ids.json"), "w") as file:
        lines = lambda rs: "[\n" + ",\n".join(json.dumps(r) for r in rs) + "\n]"
        file.write('{"sentencepiece": ' + lines(rows) + ",\n" + ",\n".join(f"{json.dumps(n)}: {lines(d)}" for n, d in differ.items()) + "}\n")
    print(f"{spiece.get_piece_size()} pieces, {len(rows)} strings; differ:", {n: len(d) for n, d in differ.items()})
    return differ


def randn(out):
    rows = []
    for seed, size in itertools.product((0, 42, 2 ** 32 + 7, 123456789012345), (1, 5, 15, 16, 17, 31, 48, 1000)):
        values = torch.randn(size, generator=torch.Generator().manual_seed(seed)).tolist()
        rows.append(dict(seed=seed, size=size, first=values[:20], last=values[-20:]))
    # Two draws from one generator, and a shape with several axes.
    generator = torch.Generator().manual_seed(42)
    rows.append(dict(seed=42, draws=[torch.randn(n, generator=generator).tolist() for n in (5, 16, 17, 3)]))
    one_per_line(rows, out, "torch_randn.json")


if __name__ == "__main__":
    out = sys.argv[1]
    differ = tokenizer(os.path.join(out, "tokenizer"))
    for name, rows in differ.items():
        print(name, [r["text"][:24] for r in rows])
    one_per_line([dict(text=s, clean=prompt_clean(s)) for s in dict.fromkeys(CLEAN)], out, "prompt_clean.json")
    randn(out)
