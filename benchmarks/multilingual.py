"""Which encoder reads Chinese: titles of one subject, translations of each other, and tastes in English films.

    python benchmarks/multilingual.py [--data FOLDER]

48 subjects in English and Chinese, six a topic, written for this. Topic@5: the share of the five nearest other titles that
are of the title's topic. Translation@1: the share of titles whose nearest title of the other language is their translation.
With --data: `content` on MovieLens latest small, by titles and genres, as in domains.py.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from datasets import machine

import genre
from genre.evaluation.evaluator import evaluate
from genre.features.base import Encoder, item_features
from genre.features.embedding import Embedding
from genre.features.tfidf import TfIdf
from genre.preprocessing.splits import RandomSplit

HERE = Path(__file__).parent
TOPICS = {
    "space": [
        ("A crew repairs a damaged ship near Saturn", "一队船员在土星附近修理受损的飞船"), ("Robots fight a war among the stars", "机器人在群星之间作战"),
        ("The first colony on Mars runs out of air", "火星上第一个殖民地的空气耗尽"), ("An astronaut alone on the moon", "月球上孤独的宇航员"),
        ("Aliens send a message to Earth", "外星人向地球发来讯息"), ("A telescope finds a second sun", "望远镜发现了第二个太阳"),
    ],
    "cooking": [
        ("Noodles with beef for a cold evening", "寒冷夜晚的牛肉面"), ("How to bake bread at home", "如何在家烤面包"),
        ("Forty soups of southern villages", "南方村庄的四十种汤"), ("The chef who lost his sense of taste", "失去味觉的厨师"),
        ("Steamed dumplings step by step", "蒸饺的做法步骤"), ("Sweet desserts without sugar", "不加糖的甜点"),
    ],
    "football": [
        ("The goalkeeper saved three penalties", "守门员扑出三个点球"), ("A small club wins the league", "一家小俱乐部赢得联赛"),
        ("The coach resigns after the final", "教练在决赛后辞职"), ("Tickets for the world cup are sold out", "世界杯门票已售罄"),
        ("A striker returns after his injury", "前锋伤愈复出"), ("Training plans for young footballers", "年轻足球运动员的训练计划"),
    ],
    "medicine": [
        ("A new vaccine against the flu", "一种新的流感疫苗"), ("Doctors warn of high blood pressure", "医生警告注意高血压"),
        ("How sleep helps the heart", "睡眠如何有益心脏"), ("The hospital opens a ward for children", "医院开设儿童病房"),
        ("A drug that slows the growth of tumours", "一种减缓肿瘤生长的药物"), ("What nurses do at night", "护士在夜里做什么"),
    ],
    "music": [
        ("A violin concerto in a small church", "小教堂里的小提琴协奏曲"), ("The band plays its last song", "乐队演奏最后一首歌"),
        ("Learn the guitar in ten weeks", "十周学会吉他"), ("An opera singer without a voice", "失声的歌剧演唱家"),
        ("Jazz from the harbour bars", "港口酒吧的爵士乐"), ("Old folk songs collected by a teacher", "一位老师收集的古老民歌"),
    ],
    "finance": [
        ("The central bank raises interest rates", "中央银行提高利率"), ("Shares fall after a bad quarter", "季度业绩不佳后股价下跌"),
        ("How to save for a pension", "如何为养老金储蓄"), ("A merchant hides his debts", "商人隐瞒债务"),
        ("House prices reach a record", "房价创下新高"), ("Tax rules for small companies", "小公司的税收规定"),
    ],
    "gardening": [
        ("Roses that survive the frost", "能耐霜冻的玫瑰"), ("When to prune apple trees", "何时修剪苹果树"),
        ("A vegetable bed on the balcony", "阳台上的菜地"), ("Insects that protect tomatoes", "保护西红柿的昆虫"),
        ("Watering plants in a dry summer", "干旱夏天里给植物浇水"), ("The oldest tea garden of the province", "全省最古老的茶园"),
    ],
    "history": [
        ("A general crosses the great river", "将军渡过大河"), ("Letters of a soldier in the civil war", "内战中一名士兵的信"),
        ("The emperor who burned the books", "焚书的皇帝"), ("Ruins of a city under the sand", "沙下的古城遗址"),
        ("The revolution of the weavers", "纺织工人的革命"), ("Queens of the middle ages", "中世纪的女王"),
    ],
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    topic = np.repeat(np.arange(len(TOPICS)), 6)
    english, chinese = ([pair[at] for pairs in TOPICS.values() for pair in pairs] for at in (0, 1))
    encoders: dict[str, Encoder] = {
        "minilm": Embedding(),
        "multilingual": Embedding(model="multilingual"),
        "tfidf": TfIdf(),
    }
    head = ["encoder", "topic@5 English", "topic@5 Chinese", "translation@1 to Chinese", "translation@1 to English"]
    lines = [f"| {' | '.join([*head, 'ndcg@10, films', 'CPU s'])} |", f"|---|{'--:|' * (len(head) + 1)}"]
    for name, encoder in encoders.items():
        if isinstance(encoder, TfIdf):
            import pyarrow as pa

            encoder.fit(pa.table({"title": [*english, *chinese]}))
        one, other = (encoder.encode_once(texts) for texts in (english, chinese))
        cells = [f"{_of_topic(vectors, topic):.2f}" for vectors in (one, other)]
        cells += [
            f"{float(((a @ b.T).argmax(axis=1) == np.arange(len(a))).mean()):.2f}"
            for a, b in ((one, other), (other, one))
        ]
        began = time.process_time()
        cells += [f"{_films(options.data, encoder):.4f}" if options.data else "-"]
        lines.append(f"| {' | '.join([name, *cells, f'{time.process_time() - began:.0f}'])} |")
        print(lines[-1], flush=True)
    text = [
        "# Encoders of more than English",
        "",
        *(__doc__ or "").strip().splitlines()[4:],
        "",
        machine(),
        "",
        *lines,
        "",
    ]
    text.insert(2, "`python benchmarks/multilingual.py --data FOLDER`\n")
    (HERE / "multilingual.md").write_text("\n".join(text), encoding="utf-8")


def _of_topic(vectors: np.ndarray, topic: np.ndarray) -> float:
    near = vectors @ vectors.T
    np.fill_diagonal(near, -np.inf)
    return float((topic[np.argsort(-near, axis=1)[:, :5]] == topic[:, None]).mean())


def _films(data: Path, encoder: Encoder) -> float:
    folder = data / "ml-latest-small"
    loaded = genre.load(folder / "ratings.csv", items=folder / "movies.csv")
    split = RandomSplit(seed=0).split(loaded.with_features(items=item_features(loaded, encoder)))
    fitted = genre.Content().fit(split.train)
    return next(iter(evaluate(fitted, split.test, metrics=["ndcg"], k=10, train=split.train).values.values()))


if __name__ == "__main__":
    main()
