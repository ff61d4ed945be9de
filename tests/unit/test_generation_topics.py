"""The category dump: its SQL, its oddities, the filters of section 3.1."""

import gzip
import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lamini.errors import LaminiError
from lamini.generation import dump as dump_module
from lamini.generation.dump import Category, read_categories, unescape
from lamini.generation.topics import read_topics, select_topics
from lamini.settings.params.generation import SelectTopics
from lamini.settings.sources import Topics

HEAD = b"""-- MySQL dump 10.19
DROP TABLE IF EXISTS `category`;
CREATE TABLE `category` (
  `cat_id` int(10) unsigned NOT NULL AUTO_INCREMENT,
  `cat_title` varbinary(255) NOT NULL DEFAULT '',
  `cat_pages` int(11) NOT NULL DEFAULT 0,
  `cat_subcats` int(11) NOT NULL DEFAULT 0,
  `cat_files` int(11) NOT NULL DEFAULT 0,
  PRIMARY KEY (`cat_id`),
  UNIQUE KEY `cat_title` (`cat_title`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=binary;
"""
TAIL = b"/*!40000 ALTER TABLE `category` ENABLE KEYS */;\n"


def insert(*rows: bytes) -> bytes:
    return b"INSERT INTO `category` VALUES " + b",".join(rows) + b";\n"


def write_dump(path: Path, *statements: bytes, head: bytes = HEAD) -> Path:
    path.write_bytes(head + b"".join(statements) + TAIL)
    return path


def select(dump: Path, **limits) -> None:
    """Write topics.jsonl and funnel.json beside the dump."""
    select_topics(
        dump=dump,
        topics=dump.with_name("topics.jsonl"),
        funnel=dump.with_name("funnel.json"),
        settings=SelectTopics(topics=Topics(dump=str(dump), **limits), files=None),
    )


def read(path: Path) -> tuple[list, Counter]:
    broken: Counter[str] = Counter()
    return list(read_categories(path, broken)), broken


def test_titles_that_look_like_sql_stay_titles(tmp_path):
    rows = [
        rb"(1,'L\'Or\xc3\xa9al',9,1,0)".replace(rb"\xc3\xa9", b"\xc3\xa9"),
        rb"(2,'Sets_(1,\'a\',2,3,4),(5,\'b\',6,7,8);',-3,0,0)",
        rb"(3,'Back\\slash\\',4,0,0)",
        b"(4,'It''s',5,0,0)",
        rb"(5,'Say_\"hi\"\n',6,0,0)",
        rb"(6,'INSERT_INTO_`category`_VALUES_(7,\'x\',1,1,1);',7,0,0)",
    ]
    found, broken = read(write_dump(tmp_path / "d.sql", insert(*rows[:3]), insert(*rows[3:])))
    assert [c.title for c in found] == [
        "L'Oréal".encode(),
        b"Sets_(1,'a',2,3,4),(5,'b',6,7,8);",
        b"Back\\slash\\",
        b"It's",
        b'Say_"hi"\n',
        b"INSERT_INTO_`category`_VALUES_(7,'x',1,1,1);",
    ]
    assert [c.members for c in found] == [9, -3, 4, 5, 6, 7]
    assert not broken


def escaped(title: bytes) -> bytes:
    for raw, sql in (
        (b"\\", b"\\\\"),
        (b"'", b"\\'"),
        (b'"', b'\\"'),
        (b"\n", b"\\n"),
        (b"\r", b"\\r"),
        (b"\0", b"\\0"),
        (b"\x1a", b"\\Z"),
    ):
        title = title.replace(raw, sql)
    return title


@given(title=st.binary(max_size=255))
def test_unescape_is_the_inverse_of_mysqldump(title):
    assert unescape(escaped(title)) == title


@given(titles=st.lists(st.binary(max_size=80), min_size=1, max_size=30), chunk=st.integers(50, 900))
def test_any_titles_in_chunks_of_any_size(tmp_path_factory, titles, chunk):
    rows = [b"(%d,'%s',5,2,1)" % (n, escaped(t)) for n, t in enumerate(titles)]
    path = tmp_path_factory.mktemp("dump") / "d.sql"
    write_dump(path, insert(*rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dump_module, "CHUNK_BYTES", chunk)
        found, broken = read(path)
    assert [c.title for c in found] == titles
    assert not broken


TITLES = st.lists(
    st.text(
        st.sampled_from(
            [*"aB_ '\"\\\n\x1f\x00", "é", "–", "\u00a0", "\u2003", "\u3000", "字", "م", "🎉"]
        ),
        max_size=8,
    ).map(str.encode)
    | st.binary(max_size=6),
    max_size=20,
)


@given(titles=TITLES)
def test_rows_and_words_of_odd_titles(tmp_path_factory, titles):
    rows = [b"(%d,'%s',%d,2,-1)" % (n, escaped(t), n - 3) for n, t in enumerate(titles)]
    path = write_dump(tmp_path_factory.mktemp("dump") / "d.sql", insert(*rows, b"( 99,'x',1,1,1)"))
    found, broken = read(path)
    assert found == [Category(n, t, n - 3, 2, -1) for n, t in enumerate(titles)]
    assert broken == {"unreadable_row": 1}
    rows = [b"(%d,'%s',5,2,1)" % (n, escaped(t)) for n, t in enumerate([b"A", *titles])]
    select(write_dump(path, insert(*rows)), max_words=2, min_subcategories=2, min_pages=2)
    words = [["A"], *map(words_of, titles)]
    topics = [" ".join(found) for found in words if found and len(found) <= 2]
    assert read_topics(path.with_name("topics.jsonl")) == topics
    funnel = json.loads(path.with_name("funnel.json").read_text())
    assert [stage["left"] for stage in funnel["stages"]] == [len(rows), *[len(topics)] * 4]
    assert funnel["broken"].get("not_utf8", 0) == words.count(None)


def words_of(title: bytes) -> list[str] | None:
    """The words of a title; None if it is not UTF-8."""
    try:
        return re.findall(r"[^\s_]+", title.decode())
    except UnicodeDecodeError:
        return None


def test_columns_may_stand_in_any_order_and_number(tmp_path):
    head = HEAD.replace(
        b"  `cat_files` int(11) NOT NULL DEFAULT 0,\n",
        b"  `cat_hidden` tinyint(1) DEFAULT NULL,\n  `cat_files` int(11) NOT NULL DEFAULT 0,\n",
    )
    found, _ = read(write_dump(tmp_path / "d.sql", insert(b"(1,'A',9,2,NULL,3)"), head=head))
    assert found[0][2:] == (9, 2, 3, False)
    named = b"INSERT INTO `category` (`cat_title`,`cat_id`,`cat_files`,`cat_pages`,`cat_subcats`) "
    found, _ = read(write_dump(tmp_path / "e.sql", named + b"VALUES ('A',1,3,9,2);\n"))
    assert found[0] == (1, b"A", 9, 2, 3, False)


def test_categories_that_the_dump_marks_as_hidden_are_maintenance(tmp_path):
    head = HEAD.replace(
        b"  PRIMARY KEY", b"  `cat_hidden` tinyint(1) unsigned DEFAULT NULL,\n  PRIMARY KEY"
    )
    rows = [b"(1,'Shown',99,20,0,0)", b"(2,'Hidden',99,20,0,1)", b"(3,'Unknown',99,20,0,NULL)"]
    dump = write_dump(tmp_path / "d.sql", insert(*rows), head=head)
    assert [c.hidden for c in read(dump)[0]] == [False, True, False]
    select(dump)
    assert read_topics(tmp_path / "topics.jsonl") == ["Shown", "Unknown"]
    funnel = json.loads((tmp_path / "funnel.json").read_text())
    assert [stage["left"] for stage in funnel["stages"]] == [3, 3, 3, 3, 2]


MAINTENANCE = [
    *("Wikipedians", "Wikipedian musicians", "Userboxes", "Portals", "Sports portals"),
    *("AfD debates", "RfD debates", "Requested moves", "Requested photographs", "NA-importance"),
    *("Start-Class biography", "GA-Class articles", "Low-importance physics", "Barnstars"),
    *("Proposed deletion", "Speedy deletion", "Music stubs", "Infobox templates", "Book template"),
    *("Unprintworthy redirects", "Disambiguation pages", "User pages", "Hidden categories"),
    *("Stub categories", "User en", "User es-4", "Users by language", "WikiProject Music"),
    *(
        "WikiProjects",
        "CS1 errors",
        "Webarchive links",
        "Free images",
        "Audio files",
        "Sockpuppets",
    ),
    *("Orphaned articles", "Template-Class history", "Wikipedia essays", "Talk pages"),
    *("Commons files", "Moved categories"),
]
SUBJECTS = [
    *("User interfaces", "User experience", "Web pages", "Page layout", "Template metaprogramming"),
    *(
        "Comedy",
        "Sociolinguistics",
        "First-class cricket",
        "Working-class culture",
        "Computer files",
    ),
    *(
        "Web portals",
        "Portal fiction",
        "Grammatical categories",
        "Category theory",
        "Image processing",
    ),
    *("Drug users", "Yellow pages", "File formats", "Wikis", "Article (grammar)", "Redirection"),
    *("Nimitz-class carriers", "Deletion mutations", "Landing pages", "Requests"),
]


@pytest.fixture(scope="module")
def excluded() -> re.Pattern[str]:
    """The patterns of the configuration as `select_topics` uses them."""
    path = Path(__file__).resolve().parents[2] / "config/sources.yaml"
    patterns = yaml.safe_load(path.read_text(encoding="utf-8"))["topics"]["exclude_patterns"]
    return re.compile("|".join(f"(?:{p})" for p in patterns), re.IGNORECASE)


@pytest.mark.parametrize("title", MAINTENANCE)
def test_the_patterns_hit_maintenance(excluded, title):
    assert excluded.search(title)


@pytest.mark.parametrize("title", SUBJECTS)
def test_the_patterns_spare_subjects(excluded, title):
    assert not excluded.search(title)


def test_a_broken_row_is_counted_and_its_neighbours_are_read(tmp_path):
    rows = insert(b"(1,'A',1,1,0)", b"(2,'B',oops,1,0)", b"(3,'C',1,1,0)")
    found, broken = read(write_dump(tmp_path / "d.sql", rows, insert(b"(4,'D',1,1,0)")))
    assert [c.title for c in found] == [b"A", b"C", b"D"]
    assert broken == {"unreadable_row": 1}


@pytest.mark.parametrize("compress", [False, True])
def test_a_dump_that_is_cut_short_is_an_error(tmp_path, compress):
    whole = HEAD + insert(*(b"(%d,'Title_%d',1,1,0)" % (n, n * n) for n in range(5000)))
    cut = gzip.compress(whole)[:-5000] if compress else whole[:-50]
    (tmp_path / "d.sql").write_bytes(cut)
    with pytest.raises(LaminiError, match="download it again"):
        read(tmp_path / "d.sql")


def test_other_tables_and_missing_files_are_errors(tmp_path):
    path = tmp_path / "d.sql"
    path.write_bytes(b"INSERT INTO `page` VALUES (1,'A',1,1,0);\n")
    with pytest.raises(LaminiError, match="no rows of the table `category`"):
        read(path)
    with pytest.raises(LaminiError, match="no such file"):
        read(tmp_path / "missing.sql")
    with pytest.raises(LaminiError, match="lacks the columns"):
        read(write_dump(path, insert(b"(1,'A')"), head=b""))


def test_filters_and_funnel(tmp_path):
    rows = [
        b"(1,'Machine_learning',235,35,0)",  # 200 pages proper
        b"(2,'Design_bureaus',62,11,0)",  # exactly on both limits: 11 and 51
        b"(3,'Three_word_title',900,50,0)",
        b"(4,'Few_subcategories',900,10,0)",
        b"(5,'Few_pages',61,11,0)",  # 50 pages proper
        b"(6,'Mostly_files',900,20,840)",
        b"(7,'Music_stubs',900,20,0)",
        b"(8,'Bro\xff\xfeken',900,20,0)",
        b"(9,'\xd0\x9c\xd0\xbe\xd1\x81\xd0\xba\xd0\xb2\xd0\xb0',900,20,0)",
    ]
    dump = write_dump(tmp_path / "d.sql", insert(*rows))
    select(dump, exclude_patterns=[r"\bstubs?\b"])
    assert read_topics(tmp_path / "topics.jsonl") == [
        "Machine learning",
        "Design bureaus",
        "Москва",
    ]
    funnel = json.loads((tmp_path / "funnel.json").read_text())
    assert [stage["left"] for stage in funnel["stages"]] == [9, 7, 6, 4, 3]
    assert funnel["broken"] == {"not_utf8": 1}


def test_empty_results_and_wrong_patterns_are_errors(tmp_path):
    dump = write_dump(tmp_path / "d.sql", insert(b"(1,'A',1,1,0)"))
    with pytest.raises(LaminiError, match="no category passes"):
        select(dump)
    with pytest.raises(LaminiError, match="not a regular expression"):
        select(dump, exclude_patterns=["("])


PAGE_HEAD = b"""CREATE TABLE `page` (
  `page_id` int(8) unsigned NOT NULL AUTO_INCREMENT,
  `page_namespace` int(11) NOT NULL DEFAULT 0,
  `page_title` varbinary(255) NOT NULL DEFAULT '',
  `page_is_redirect` tinyint(1) unsigned NOT NULL DEFAULT 0,
  `page_random` double unsigned NOT NULL DEFAULT 0,
  `page_touched` binary(14) NOT NULL,
  `page_links_updated` varbinary(14) DEFAULT NULL,
  PRIMARY KEY (`page_id`)
) ENGINE=InnoDB DEFAULT CHARSET=binary;
"""
PROPERTIES_HEAD = b"""CREATE TABLE `page_props` (
  `pp_page` int(8) unsigned NOT NULL,
  `pp_propname` varbinary(60) NOT NULL DEFAULT '',
  `pp_value` blob NOT NULL,
  `pp_sortkey` float DEFAULT NULL,
  PRIMARY KEY (`pp_page`,`pp_propname`)
) ENGINE=InnoDB DEFAULT CHARSET=binary;
"""


@pytest.fixture
def wiki(tmp_path) -> tuple[Path, list[Path]]:
    """A category dump, and the dumps of hidden categories."""
    rows = [b"(%d,'%s',99,20,0)" % (n, t) for n, t in enumerate([b"Art", b"Tracked_art", b"Birds"])]
    dump = write_dump(tmp_path / "category.sql", insert(*rows))
    pages = tmp_path / "page.sql"
    pages.write_bytes(
        PAGE_HEAD
        + b"INSERT INTO `page` VALUES (7,14,'Art',0,0.25,'20260101000000',NULL),"
        + b"(8,14,'Tracked_art',0,8.1e-05,'20260101000000','20260101000000'),"
        + b"(9,0,'Birds',0,1,'20260101000000',NULL);\n"
    )
    properties = tmp_path / "page_props.sql"
    blob = b"x" * (3 * dump_module.ROW_BYTES)
    properties.write_bytes(
        PROPERTIES_HEAD
        + b"INSERT INTO `page_props` VALUES (7,'graph','%s',NULL),(8,'hiddencat','',NULL)," % blob
        + b"(9,'hiddencat','',-1.5e+20);\n"
    )
    return dump, [properties, pages]


def select_visible(dump: Path, hidden: list[Path]) -> dict:
    select_topics(
        dump=dump,
        hidden=hidden,
        topics=dump.with_name("topics.jsonl"),
        funnel=dump.with_name("funnel.json"),
        settings=SelectTopics(topics=Topics(dump=str(dump)), files=None),
    )
    return json.loads(dump.with_name("funnel.json").read_text())


def test_categories_with_the_property_hiddencat_are_maintenance(wiki):
    dump, hidden = wiki
    funnel = select_visible(dump, hidden)
    assert read_topics(dump.with_name("topics.jsonl")) == ["Art", "Birds"]  # 9 is an article
    assert [stage["left"] for stage in funnel["stages"]] == [3, 3, 3, 3, 2]
    assert funnel["broken"] == {}


def test_wrong_dumps_of_hidden_categories_are_errors(wiki):
    dump, (properties, pages) = wiki
    with pytest.raises(LaminiError, match=r"no rows of the table `page_props`; `topics\.hidden"):
        select_visible(dump, [pages, properties])
    properties.write_bytes(properties.read_bytes().replace(b"(8,'hiddencat'", b"(8,'notoc'"))
    with pytest.raises(LaminiError, match="no hidden category"):
        select_visible(dump, [properties, pages])
    pages.unlink()
    with pytest.raises(LaminiError, match=r"page\.sql: no such file; set `topics\.hidden\.page`"):
        select_visible(dump, [properties, pages])
