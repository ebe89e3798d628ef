"""Does what a person does in a browser who was shown a code: logs in at the provider and agrees.

    approve.py ADDRESS NAME

Every page is a form; each is filled in and sent until there is none left.
"""

import html
import re
import sys
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

PAGES_MAX = 10
FORM = re.compile(r"<form\b([^>]*)>(.*?)</form>", re.S)
FIELD = re.compile(r"<(?:input|button)\b([^>]*)>", re.S)
MEMBER = re.compile(r'([a-z-]+)="([^"]*)"')


def members(text):
    return {name: html.unescape(value) for name, value in MEMBER.findall(text)}


def filled(page, name):
    """Where the page's form goes, and what it says."""
    form = FORM.search(page)
    if form is None:
        return None
    fields = [members(field) for field in FIELD.findall(form.group(2))]
    said = {field["name"]: field.get("value", "") for field in fields if "name" in field}
    if "login" in said:
        said.update(login=name, password="any")
    if "user_code" in said:
        said.setdefault("confirm", "yes")
    said.pop("abort", None)
    return members(form.group(1))["action"], said


def main(address, name):
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    answer = browser.open(address)
    for _ in range(PAGES_MAX):
        page, at = answer.read().decode(), answer.geturl()
        form = filled(page, name)
        if form is None:
            print(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", re.sub(r"<style.*?</style>", "", page, flags=re.S))).strip())
            return
        action, said = form
        answer = browser.open(urllib.parse.urljoin(at, action), urllib.parse.urlencode(said).encode())
    sys.exit("the pages do not end")


main(*sys.argv[1:])
