"""As much of a terminal as is needed to read what a program shows: cursor, text, clearing, scrolling. No colours."""
import codecs
import re

SEQUENCE = re.compile(
    r"\x1b\[([0-9;?<>=!]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1bP.*?\x1b\\|\x1b[()*+][A-Za-z0-9]|\x1b[=>78cDEHMNOZ]"
    r"|[\x00-\x1a\x7f]|[^\x00-\x1f\x7f]+", re.DOTALL)


class Screen:
    def __init__(self, width, height):
        self.width, self.height = width, height
        self.decoder, self.held = codecs.getincrementaldecoder("utf-8")("replace"), ""
        self.clear()

    def clear(self):
        self.rows = [[" "] * self.width for _ in range(self.height)]
        self.x = self.y = 0

    def text(self):
        return "\n".join("".join(row) for row in self.rows)

    def feed(self, data):
        text = self.held + self.decoder.decode(data)
        end = 0
        for found in SEQUENCE.finditer(text):
            if found.start() != end:
                break  # a sequence that is not whole yet
            end = found.end()
            whole = found.group(0)
            if found.group(2):
                self.control(found.group(1), found.group(2))
            elif whole[0] >= " " and whole[0] != "\x7f":
                self.write(whole)
            elif whole == "\r":
                self.x = 0
            elif whole == "\n":
                self.down()
            elif whole == "\b":
                self.x = max(0, self.x - 1)
        self.held = text[end:][-4096:]

    def down(self):
        if self.y + 1 < self.height:
            self.y += 1
        else:
            self.rows = self.rows[1:] + [[" "] * self.width]

    def write(self, text):
        for letter in text:
            if self.x >= self.width:
                self.x = 0
                self.down()
            self.rows[self.y][self.x] = letter
            self.x += 1

    def control(self, words, final):
        numbers = [int(n) if n.isdigit() else 0 for n in words.split(";")]
        first = max(1, numbers[0])
        if final in "Hf":
            self.y = min(first, self.height) - 1
            self.x = min(max(1, numbers[1] if len(numbers) > 1 else 1), self.width) - 1
        elif final == "G":
            self.x = min(first, self.width) - 1
        elif final == "d":
            self.y = min(first, self.height) - 1
        elif final == "A":
            self.y = max(0, self.y - first)
        elif final == "B":
            self.y = min(self.height - 1, self.y + first)
        elif final == "C":
            self.x = min(self.width - 1, self.x + first)
        elif final == "D":
            self.x = max(0, self.x - first)
        elif final == "J" and numbers[0] in (2, 3) or (final in "hl" and words == "?1049"):
            at = (self.x, self.y)
            self.clear()
            self.x, self.y = at
        elif final == "J":
            for row in self.rows[self.y + 1:]:
                row[:] = [" "] * self.width
            self.rows[self.y][self.x:] = [" "] * (self.width - self.x)
        elif final == "K":
            here = self.rows[self.y]
            begin, end = {0: (self.x, self.width), 1: (0, self.x + 1)}.get(numbers[0], (0, self.width))
            here[begin:end] = [" "] * (end - begin)
