"""Words as rows, against scikit-learn and transformers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from recsys.errors import ArtifactError, ConfigError, DataError
from style.encoders.text import FunctionText, HashedTfidf, encode_texts, make_text_encoder

WORDS = [
    "floral",
    "striped",
    "summer",
    "winter",
    "dress",
    "boots",
    "shirt",
    "jeans",
    "coat",
    "leather",
    "denim",
    "silk",
]
RNG = np.random.default_rng(0)
TITLES = [" ".join(RNG.choice(WORDS, 5)) for _ in range(80)]


def test_rows_are_scikit_learns_latent_semantic_analysis() -> None:
    ours = HashedTfidf(dims=6)
    rows = ours.encode(TITLES, ours.fit(TITLES))
    theirs = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit_transform(TITLES)
    wanted = TruncatedSVD(6, algorithm="arpack", random_state=0).fit_transform(theirs)
    assert rows.shape == (80, 6)
    assert np.allclose(rows @ rows.T, wanted @ wanted.T, atol=1e-4)  # directions up to their signs; float32


def test_the_same_texts_give_the_same_rows_and_new_ones_need_no_vocabulary() -> None:
    ours = HashedTfidf(dims=6)
    fitted, again = ours.fit(TITLES), ours.fit(TITLES)
    assert all(np.array_equal(fitted[name], again[name]) for name in fitted)
    rows = ours.encode(["Floral DRESS!", "floral dress", "", "zzzz qqqq"], fitted)
    assert np.array_equal(rows[0], rows[1])
    assert (rows[2:] == 0).all()


def test_fewer_texts_than_dimensions() -> None:
    ours = HashedTfidf()
    assert ours.encode(TITLES[:3], ours.fit(TITLES[:3])).shape == (3, 3)


def test_texts_without_words_and_wrong_options() -> None:
    with pytest.raises(DataError, match="2 texts with 0 words"):
        HashedTfidf().fit(["?", "!"])
    with pytest.raises(ConfigError, match="dims must be >= 1, got 0"):
        make_text_encoder("tfidf", dims=0)
    with pytest.raises(ConfigError, match="write hf:FOLDER"):
        make_text_encoder("hf")


def test_a_function_of_texts_is_checked_and_blanks_are_zero() -> None:
    lengths = FunctionText("length", lambda texts: np.array([[len(t), 1.0] for t in texts]))
    assert encode_texts(lengths, ["abc", " "], {}).tolist() == [[3, 1], [0, 0]]
    with pytest.raises(DataError, match="'bad' answered NaN or infinite values, first for 'b'"):
        encode_texts(FunctionText("bad", lambda texts: [[0.0], [np.nan]]), ["a", "b"], {})
    with pytest.raises(DataError, match=r"'flat' answered shape \(2,\) for 2 texts"):
        encode_texts(FunctionText("flat", lambda texts: [0.0, 1.0]), ["a", "b"], {})


@pytest.fixture(scope="module")
def sentence_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with a vocabulary of its own, as sentence-transformers lays it out."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    torch.manual_seed(6)
    transformers.BertModel(config).eval().save_pretrained(folder)
    transformers.BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def test_a_sentence_model_is_the_mean_of_its_tokens(sentence_folder: Path) -> None:
    transformers = pytest.importorskip("transformers")
    encoder = make_text_encoder(f"hf:{sentence_folder.name}", base=sentence_folder.parent, device="cpu", batch=2)
    rows = encode_texts(encoder, ["floral dress", "boots", "", "wool coat winter"], {})
    model = transformers.BertModel.from_pretrained(sentence_folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(sentence_folder)
    with torch.inference_mode():
        for text, row in zip(["floral dress", "boots", "wool coat winter"], rows[[0, 1, 3]], strict=True):
            alone = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
            assert np.allclose(row, alone / alone.norm(), atol=1e-5)
    assert (rows[2] == 0).all()


def test_layers_that_are_not_known_here_are_refused(sentence_folder: Path) -> None:
    modules = sentence_folder / "modules.json"
    modules.write_text('[{"type": "sentence_transformers.models.Dense"}]')
    with pytest.raises(ConfigError, match="layer 'Dense'"):
        make_text_encoder(f"hf:{sentence_folder}")
    modules.unlink()
    with pytest.raises(ArtifactError, match="give a file or folder on this machine"):
        make_text_encoder("hf:no-such-owner/no-such-model")
