"""A mail server for tests: STARTTLS, and by the recipient's name what a bad night is made of.

Says on standard output what happens, one JSON object a line: {"ready": PORT}, then {"data": [RECIPIENTS], "id": MESSAGE-ID,
"text": TEXT} whenever the text of a mail is there. `refuse@` is refused, `full@` is refused after the text, `hang@` hears
nothing after the text, and `close@` is hung up on.
"""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP


def say(**what):
    print(json.dumps(what), flush=True)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refuse@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        say(
            data=envelope.rcpt_tos,
            id=mail["Message-ID"],
            subject=mail["Subject"],
            auto=mail["Auto-Submitted"],
            tls=session.ssl is not None,
            text=mail.get_content(),
        )
        first = envelope.rcpt_tos[0]
        if first.startswith("hang@"):
            await asyncio.Event().wait()
        if first.startswith("close@"):
            server.transport.abort()
        if first.startswith("full@"):
            return "452 the disk is full"
        return "250 taken"


async def main(certificate, key):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    make = lambda: SMTP(Handler(), tls_context=tls, require_starttls=True, hostname="localhost")
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    say(ready=server.sockets[0].getsockname()[1])
    # Ends with whoever started it.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main(*sys.argv[1:]))
