"""The mails by smtplib, over one connection. smtplib_mails.py INPUTS PORT"""

import json
import platform
import smtplib
import sys
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

with open(f"{sys.argv[1]}/people.json") as file:
    people = json.load(file)
with smtplib.SMTP("127.0.0.1", int(sys.argv[2])) as server:
    for person in people:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "errand@example.org", person["email"], f"News for {person['name']}"
        mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain="example.org")
        mail.set_content(f"Dear {person['name']},\n\nthere is news from {person['city']}.\n")
        server.send_message(mail)
print(json.dumps({"package": f"smtplib of Python {platform.python_version()}"}))
