#!/usr/bin/env python3
"""Convert an installed autobahntestsuite 25.10.1 and autobahn 0.10.9 from Python 2 to Python 3, in place.

Run once by compliance/setup, by the interpreter of the virtual environment, on freshly installed files. In order:

1. payload literals of the test cases become bytes (in Python 2 every plain literal was);
2. lib2to3 converts the syntax;
3. exact replacements do the rest: EDITS, by file.

A replacement whose old text is not there stops the run. So another release of the suite ends here with a message, not with
verdicts of a half-working fuzzer.
"""

import io
import re
import subprocess
import sys
import sysconfig
import tokenize
from pathlib import Path

SITE = Path(sysconfig.get_paths()["purelib"])
SUITE = SITE / "autobahntestsuite"
CASES = SUITE / "case"

# Only the two fuzzing modes are kept, so these imports of the other modes go.
UNUSED_AT_TOP = ["choosereactor", "wstest", "echo", "broadcast", "testee", "case\n", "caseset", "report",
                 "spectemplate", "fuzzing", "massconnect"]
UNUSED_IN_WSTEST = ["echo", "broadcast", "massconnect", "serializer"]

# 9.9.1 is an empty draft; the module that lists the cases is not one; 12.x has no payload literals.
NOT_PLAIN_CASES = {"case.py", "case12_x_x.py", "case9_9_1.py"}

# Literals in the case files that are names of the suite's own, not payload octets ...
NAMES = {"message", "ping", "pong", "timeout", "A", "B", "closedByMe", "closeCode", "requireClean",
         "closedByWrongEndpointIsFatal", "__main__"}
# ... and lines whose literals are prose.
PROSE = re.compile(r'self\.result\b|\b(desc|exp|mt|cc)\s*=|\bvs = \["|__all__|type\(|print|unichr|raise ')

# Hexadecimal is only ever shown in reports: there it has to be text, whatever goes in.
HELPER = '''"""What the Python 3 conversion needs."""


def text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def b2a_hex(value):
    return (value.encode("utf-8") if isinstance(value, str) else value).hex()


hexlify = b2a_hex
'''
IMPORT_HELPER = "from autobahntestsuite import _py3 as binascii"

EDITS_BEFORE_2TO3 = {
    SUITE / "__init__.py": [("\nimport " + name, "\n# import " + name) for name in UNUSED_AT_TOP],
    SUITE / "wstest.py": [("\nimport %s\n" % name, "\n") for name in UNUSED_IN_WSTEST],
    SUITE / "report.py": [("import jinja2\n", "")],
    CASES / "__init__.py": [("from case9_9_1 import *\n", "")],
}

EDITS = {
    CASES / "case.py": [("pickle.dumps(obj1) == pickle.dumps(obj2)", "obj1 == obj2")],
    CASES / "case10_1_1.py": [("len(self.payload) / ", "len(self.payload) // ")],
    CASES / "case6_4_2.py": [("PAYLOAD[12])", "PAYLOAD[12:13])")],
    CASES / "case6_4_4.py": [("PAYLOAD[12])", "PAYLOAD[12:13])")],
    CASES / "case6_x_x.py": [("s += chr(i)", "s += bytes([i])"), ("s += chr(0x20)", 's += b"\\x20"')],
    SUITE / "fuzzing.py": [
        ("import os, json, binascii, time, textwrap, pkg_resources",
         "import os, json, time, textwrap, pkg_resources\n" + IMPORT_HELPER),
        ("dd = data[:maxlen] + ellipses\n      else:\n         dd = data\n      return dd.decode",
         "dd = data[:maxlen] + ellipses.encode()\n      else:\n         dd = data\n      return dd.decode"),
        ("p = ''.join(payload)", "p = b''.join(payload)"),
        ("self.sendMessage(json.dumps(len(self.factory.specCases)))",
         "self.sendMessage(json.dumps(len(self.factory.specCases)).encode())"),
        ("self.sendMessage(json.dumps({", "self.sendMessage(str.encode(json.dumps({"),
        ("'behavior':results['behavior']\n            }))", "'behavior':results['behavior']\n            })))"),
        ("(self.Case),\n         }))", "(self.Case),\n         })))"),
        ('spec.get("payload", "")', 'spec.get("payload", "").encode("UTF-8")'),
        ('"localCloseReason": self.localCloseReason', '"localCloseReason": binascii.text(self.localCloseReason)'),
        ("self.http_request_data if", "binascii.text(self.http_request_data) if"),
        ("self.http_response_data if", "binascii.text(self.http_response_data) if"),
        ("report_filename), 'w')", "report_filename), 'w', encoding='utf-8')"),
        (', c[1])).encode("utf-8"))', ", c[1])))"),
        ("ll.encode('utf8')", "ll"),
        ("listenWS(factory, sslContext)", "listenWS(factory, sslContext, interface = spec.get('interface', ''))"),
    ],
    SITE / "autobahn" / "websocket" / "protocol.py": [
        ("payload_len / len(payload)", "payload_len // len(payload)"),
        # The octets were judged by Utf8Validator already; Python 2 did not raise on surrogates here.
        ("reasonRaw.decode('utf8')", "reasonRaw.decode('utf8', 'replace')"),
    ],
}


def main():
    all_cases = sorted(CASES.glob("case*.py"))
    for path in all_cases:
        if path.name not in NOT_PLAIN_CASES:
            rewrite(path, payloads_to_bytes)
    replace_all(EDITS_BEFORE_2TO3)
    convert_syntax([path for path in all_cases if path.name != "case9_9_1.py"])
    (SUITE / "_py3.py").write_text(HELPER, encoding="utf-8")
    for path in all_cases:
        rewrite(path, hex_as_text)
    for number in ("6_2_1", "6_2_2", "6_2_3", "6_2_4"):
        rewrite(CASES / ("case%s.py" % number), payload_in_prose_as_text)
    replace_all(EDITS)


def payloads_to_bytes(source):
    """Prefix b to the plain payload literals of one case (Python 2 source)."""
    lines = source.splitlines(keepends=True)
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    for token, following in reversed(list(zip(tokens, tokens[1:]))):
        literal = token.string
        if token.type != tokenize.STRING or literal[0] not in "'\"" or literal[:3] in ('"""', "'''"):
            continue
        if literal[1:-1] in NAMES or following.string == ":" or PROSE.search(token.line):
            continue
        row, start, end = token.start[0] - 1, token.start[1], token.end[1]
        as_bytes = "b" + literal if literal.isascii() else literal + '.encode("utf-8")'
        lines[row] = lines[row][:start] + as_bytes + lines[row][end:]
    return "".join(lines)


def convert_syntax(cases):
    modules = ["__init__", "choosereactor", "wstest", "testee", "fuzzing", "caseset", "report", "interfaces", "spectemplate"]
    files = [SUITE / (name + ".py") for name in modules] + [CASES / "__init__.py"] + cases
    command = [sys.executable, "-W", "ignore", "-m", "lib2to3", "--write", "--nobackups", "--no-diffs", *map(str, files)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def hex_as_text(source):
    source = re.sub(r"^import binascii$", IMPORT_HELPER, source, flags=re.M)
    source = source.replace(" hashlib, binascii\n", " hashlib\n%s\n" % IMPORT_HELPER)
    return re.sub(r"\(object, Case,\s*\)", "(Case,)", source)  # no such method resolution order in Python 3


def payload_in_prose_as_text(source):
    def decode(match):
        return "%% (%s)" % re.sub(r"(?<!\()\b(PAYLOAD\d?)\b(?!\))", r"\1.decode('utf-8')", match.group(1))

    return re.sub(r"% \((PAYLOAD.*)\)$", decode, source, flags=re.M)


def replace_all(edits):
    for path, pairs in edits.items():
        source = path.read_text(encoding="utf-8")
        for old, new in pairs:
            if old not in source:
                sys.exit("port: %s does not contain %r: is it another release?" % (path, old))
            source = source.replace(old, new)
        path.write_text(source, encoding="utf-8")


def rewrite(path, convert):
    path.write_text(convert(path.read_text(encoding="utf-8")), encoding="utf-8")


main()
