"""A family's mail, generated: the same messages for the same number and seed.

Personal mail in plain text, mail with an HTML alternative, newsletters, and one in ten with an attachment. The header
fields are those that mail really carries (Received, signatures, list fields), conversations have References, words
follow Zipf's law. Seven messages have the word `zyxquartz` in their text.
"""

import base64
import math
import random

RARE = "zyxquartz"
CONSONANTS, VOWELS = "bcdfghklmnprstvwz", "aeiou"
FIRST = "the of and to in is that for it as was with be by on not this have from or had an they which you".split()
NAMES = "Ana Bo Chiara Dmitri Elif Femi Greta Hana Ivo Jürgen Kaja Linux Mina Noor Olu Pia Redhat Sven".split()
DATES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Corpus:
    def __init__(self, count, seed=1):
        self.count, self.random = count, random.Random(seed)
        self.pool = self.random.randbytes(1 << 20)
        self.words = FIRST + [self.word() for _ in range(12_000)]
        self.weights = []
        total = 0.0
        for rank in range(len(self.words)):
            total += 1 / (rank + 2.7)
            self.weights.append(total)
        self.rare = set(self.random.sample(range(count), min(7, count)))

    def word(self):
        pick = self.random.choice
        return "".join(pick(CONSONANTS) + pick(VOWELS) for _ in range(self.random.randint(1, 4))) + pick(("", "", "n", "s", "r"))

    def text(self, octets, end="\r\n"):
        """About so many octets of sentences in lines."""
        picked = self.random.choices(self.words, cum_weights=self.weights, k=max(3, octets // 6))
        lines = [" ".join(picked[at : at + 12]) for at in range(0, len(picked), 12)]
        return end.join(line.capitalize() + "." if at % 3 == 2 else line for at, line in enumerate(lines)) + end

    def token(self, octets):
        return base64.b64encode(self.random.randbytes(octets)).decode()

    def person(self):
        name = self.random.choice(NAMES)
        return f"{name} <{name.lower().replace('ü', 'ue')}{self.random.randint(1, 40)}@{self.random.choice(self.words[30:400])}.example>"

    def header(self, number, thread):
        pick, host = self.random, self.random.choice(self.words[30:400]) + ".example"
        day = 1_600_000_000 + number * 7_000
        date = f"{DATES[number % 7]}, {number % 28 + 1} {('Jan', 'Feb', 'Mar', 'Apr')[number % 4]} {2005 + number * 20 // self.count} {number % 24:02}:{number % 60:02}:00 +0200"
        fields = [
            f"Received: from mail.{host} (mail.{host} [192.0.2.{number % 250}])\r\n\tby mx.home.example with ESMTPS id {day:x}\r\n\tfor <ana@home.example>; {date}",
            f"Received: from [10.0.0.{number % 250}] by mail.{host} with ESMTPSA id {pick.getrandbits(40):x}; {date}",
            f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={host}; s=s2;\r\n\th=from:to:subject:date:message-id; bh={self.token(32)};\r\n\tb={self.token(60)}\r\n\t {self.token(60)}\r\n\t {self.token(60)}",
            f"Message-ID: <{number}.corpus@{host}>",
            f"Date: {date}", f"From: {self.person()}", f"To: Ana <ana@home.example>, {self.person()}",
        ]
        if thread is not None:
            fields += [f"In-Reply-To: <{thread}@corpus.example>", f"References: <{thread}@corpus.example> <{thread}.1@corpus.example>", f"Subject: Re: subject {thread} {self.words[thread % 900 + 30]}"]
        else:
            fields.append(f"Subject: {self.text(40, '').strip()}")
        return fields

    def message(self, number):
        """The octets of message `number`; to be asked for in order."""
        pick = self.random
        fields = self.header(number, number % 1500 if pick.random() < 0.4 else None)
        text = self.text(int(min(60_000, 1_400 * math.exp(pick.gauss(0, 0.9)))))
        if number in self.rare:
            text += f"The word {RARE} is here.\r\n"
        kind = pick.random()
        if kind < 0.1:
            fields, body = self.attached(fields, text, number)
        elif kind < 0.65:
            fields, body = self.alternative(fields, text, newsletter=kind < 0.2)
        else:
            fields, body = fields + ["MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit"], text
        return ("\r\n".join(fields) + "\r\n\r\n" + body).encode()

    def alternative(self, fields, text, newsletter):
        if newsletter:
            fields += ["List-Unsubscribe: <https://news.example/u/" + self.token(30) + ">", "Precedence: bulk"]
        style = 'style="margin:0;padding:0;font-family:Arial,Helvetica,sans-serif;font-size:14px;color:#333333"'
        blocks = [f'<td align="left" {style}><a href="https://{self.words[40]}.example/{pick:08x}">{line}</a></td>\r\n' for line in text.split("\r\n") for pick in [self.random.getrandbits(32)]]
        html = f"<html><head><meta charset=utf-8></head><body {style}><table><tr>\r\n" + "</tr><tr>\r\n".join(blocks * (4 if newsletter else 1)) + "</tr></table></body></html>\r\n"
        boundary = self.token(12)
        fields += ["MIME-Version: 1.0", f'Content-Type: multipart/alternative; boundary="{boundary}"']
        return fields, f"--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n--{boundary}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{html}\r\n--{boundary}--\r\n"

    def attached(self, fields, text, number):
        size = int(min(2e6, 70_000 * math.exp(self.random.gauss(0, 0.9))))
        start = self.random.randrange(len(self.pool))
        octets = (self.pool[start:] + self.pool * 2)[:size]
        boundary = self.token(12)
        fields += ["MIME-Version: 1.0", f'Content-Type: multipart/mixed; boundary="{boundary}"']
        encoded = base64.encodebytes(octets).decode().replace("\n", "\r\n")
        return fields, (
            f"--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n--{boundary}\r\n"
            f'Content-Type: application/pdf; name="{number}.pdf"\r\nContent-Transfer-Encoding: base64\r\n'
            f'Content-Disposition: attachment; filename="{number}.pdf"\r\n\r\n{encoded}--{boundary}--\r\n')

    def __iter__(self):
        return map(self.message, range(self.count))
