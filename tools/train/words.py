"""What is written on the pages: phrases of real pages, sentences from patterns, words of the dictionary, made-up words, numbers."""

UI = """Home;About;About us;Contact;Shop;Blog;Log in;Log out;Sign up;Sign in;News;Photos;Menu;Search;Send;Join;Welcome;My page;Team;Prices;Travel;
Garden;Music;Recipes;Summer sale;Help;Books;Gallery;Events;School;Kitchen;Services;Products;Features;Pricing;FAQ;Terms;Privacy;Imprint;Reviews;
Joke of the day;My joke website;Funny jokes;Welcome to my site;Hello!;Hello world;Latest news;Popular;Categories;Tags;Comments;Profile;Settings;Account;
Cart;Checkout;Hours;Today;Tickets;Weather;Map;To do list;Shopping list;Score;Level 1;Game over;Step 1;Video;Chat;Quiz;Question;Answer;Our story;
Our team;Dogs;Cats;Bikes;Pizza;Coffee;Tea;Cakes;Bread;Milk;Eggs;Opening hours;Find us;Follow us;Jobs;Archive;Forum;Support;Downloads;Dashboard;
Messages;Friends;Calendar;Notes;Tasks;Projects;Portfolio;Resume;Skills;Workshop;Club;Library;Museum;Market;Farm;Bakery;Pet shop;Book club;Movie night;
Birthday party;Chess club;Running group;Art class;Yoga;Flowers;Plants;Trees;Birds;Fish;Space;Planets;Robots;Science fair;History;Maths;Sports;Football""".replace("\n", "").split(";")
BUTTON = """Submit;Send;OK;Go;Yes;No;Save;Delete;Edit;Upload;Download;Start;Stop;Play;Reply;Share;Like;Follow;Get started;Try it;Book now;Order;
Order now;Buy now;Add to cart;Read more;Learn more;Show more;More;Next;Back;Cancel;Log in;Sign up;Sign in;Register;Search;Subscribe;Join;Join us;
Push to reveal punchline;Show punchline;Show answer;Reveal;Reveal answer;Tell me;Another joke;Show joke;Vote;Watch;Listen;Contact us;Call us;Donate;Apply;
Reset;Close;Open;Print;Refresh;Continue;Finish;Add;Remove;Update;Create;Load more;View all;See all;Book a table;Reserve;Check out;Pay;Accept;Decline;
Click me;Press here;Click here;Play again;New game;Roll the dice;Surprise me;Random;Try again;Skip;Done;Confirm;Invite;Post;Publish;Copy;Undo;Help""".replace("\n", "").split(";")
FIELD = """Name;Email;E-mail;Password;User;User name;Username;Your name;First name;Last name;Message;Phone;Address;City;Country;Zip;Postcode;Street;Date;
Time;Guests;Subject;Comment;Search;Age;Birthday;Company;Website;Card number;Amount;Quantity;Title;Color;Size;From;To;Your email;Your message;
Repeat password;Code;Notes;Feedback;Question;Search...;Type here;Enter name;Language;Category;Price;Room;Class;Team""".replace("\n", "").split(";")
CHECK = """Remember me;I agree;Stay signed in;Newsletter;Send me news;Express;Yes;No;Vegan;Small;Medium;Large;Red;Green;Blue;Milk;Eggs;Bread;Buy milk;
Call mom;Do homework;Water plants;Pay bills;Clean room;Feed the cat;Walk the dog;Option A;Option B;Option 1;Option 2;Monthly;Yearly;Gift wrap;Public;Private""".replace("\n", "").split(";")
FOOT = """Copyright {y};All rights reserved;Made with love;{y} {W};(c) {y} {W};{W} {y};Contact us;Imprint;Terms and privacy;Follow us;Back to top;
Privacy - Terms;hello@{w}.com;Tel. {n}-{n};The end;{w}.com;Page {d};See you soon;Thanks for visiting""".replace("\n", "").split(";")
SENTENCE = """Why did the {w} {w}?;What do you call a {w} with no {w}?;Knock knock. Who is there?;Why don't {w}s {w}?;What is the best {w}?;How do {w}s {w}?;
Where do {w}s go at night?;Because it was {w}.;It had too many {w}s.;We love {w} and {w}.;The best {w} in town.;Fresh {w} every day.;Come and see our {w}.;
Open {d} to {d}, {D} - {D};Call us at {n}.;Only ${p} today!;{d}% off all {w}s;This is a {w} about {w}.;Learn how to {w} a {w}.;My {w} is {w} and {w}.;
Please enter your {w}.;No account? Sign up;Forgot password?;Forgot it?;You have {d} new messages;Two {w}s, one {w}.;{W} and {w};Tea, juice, cocoa;
Hi, my name is {W}.;I like {w}, {w} and {w}.;Next {w}: {D} at {t};Total: ${p};Price: ${p};{W}, {d};{t} - {t};Date: {d}.{d}.{y};{W} needs {d} {w}s.;
Welcome to the {w} of {W}!;Our {w} is made by hand.;Click the button to see the {w}.;Why was the {w} so {w}?;What did the {w} say to the {w}?;
Step {d}: {w} the {w};Write to us: {w}@{w}.org;The {w} was {w}, so we {w}.;Did you know? A {w} can {w}.;Get {d} free {w}s;{W}'s {w};It's {w} time!""".replace("\n", "").split(";")
COMMON = """the a of and to in is you that it for on are as with his they at be this have from or one had by word but not what all were we when your
can said there use an each which she do how their if will up other about out many then them these so some her would make like him into time has look
two more write go see no way could people my than first water been call who now find long down day did get come made may part house home story world
food fresh good great new old big small red blue green free best open close happy funny little tomato cat dog chicken fish bird car bike train tree
sun moon rain snow summer winter spring autumn table chair window door garden kitchen coffee tea bread cheese apple cake soup salad pizza lunch dinner
book page paper pencil photo picture music song movie game ball team school class teacher student friend family mother father baby child work job money
shop price sale order week month year hour minute night morning evening weekend monday tuesday friday sunday city street park beach river mountain""".split()
DAYS = "Mon Tue Wed Thu Fri Sat Sun Monday Friday Sunday today".split()
SYL = "ba be bi bo da do fa fi ga go ha hu ja ka ki ko la le li lo ma mi mo na ne no pa pi ra re ri ro sa se so ta te ti to va ve wa wi xo ya zo qu ck st th sh ng er in on al".split()


def word(r, words):
    v = r.random()
    if v < 0.5:
        return r.choice(COMMON)
    if v < 0.93:
        return r.choice(words).lower()
    return "".join(r.choice(SYL) for _ in range(r.randint(2, 3)))


def fill(r, words, s):
    out, i = [], 0
    while i < len(s):
        if s[i] == "{":
            k = s[i + 1]
            out.append({"w": lambda: word(r, words), "W": lambda: r.choice(words).capitalize() if r.random() < 0.5 else r.choice(COMMON).capitalize(),
                        "d": lambda: str(r.randint(1, 31)), "y": lambda: str(r.randint(1990, 2039)), "n": lambda: str(r.randint(100, 9999)),
                        "p": lambda: f"{r.randint(1, 99)}.{r.randint(0, 99):02d}" if r.random() < 0.6 else str(r.randint(1, 999)),
                        "t": lambda: f"{r.randint(0, 23)}:{r.randint(0, 59):02d}", "D": lambda: r.choice(DAYS)}[k]())
            i += 3
        else:
            out.append(s[i])
            i += 1
    return "".join(out)


def phrase(r, words, lo, hi):
    """Free words, with punctuation and numbers now and then: no language model can guess these."""
    w = [word(r, words) for _ in range(r.randint(lo, hi))]
    v = r.random()
    if v < 0.65:
        w[0] = w[0].capitalize()
    elif v < 0.8:
        w = [x.capitalize() for x in w]
    elif v < 0.85:
        w = [x.upper() for x in w]
    if r.random() < 0.12:
        w.insert(r.randint(0, len(w)), r.choice([str(r.randint(0, 2039)), f"${r.randint(1, 99)}", f"{r.randint(1, 12)}:{r.randint(0, 59):02d}", "&", "-",
                 f"{r.randint(1, 99)}%", f"#{r.randint(1, 9)}", f"({r.choice(words)})", "a@b.com", "+", "/", f"{r.randint(0, 9)}.{r.randint(0, 9)}", '"' + r.choice(words) + '"', "*", "=", "<3", ":)"]))
    if len(w) > 2 and r.random() < 0.25:
        w[r.randrange(len(w) - 1)] += r.choice([",", ",", ";", ":"])
    return " ".join(w) + r.choice(["", "", "", ".", "?", "!", "...", ":"] if len(w) > 1 else ["", "", "", "", "", "!", ":"])


def text(r, words, kind):
    v = r.random()
    if kind in ("h1", "h2"):
        s = r.choice(UI) if v < 0.4 else phrase(r, words, 1, 3)
    elif kind == "button":
        s = r.choice(BUTTON) if v < 0.6 else phrase(r, words, 1, 2)
    elif kind in ("input", "area", "select"):
        s = r.choice(FIELD) if v < 0.6 else phrase(r, words, 1, 2)
    elif kind in ("check", "radio"):
        s = r.choice(CHECK) if v < 0.5 else phrase(r, words, 1, 3)
    elif kind == "footer":
        s = fill(r, words, r.choice(FOOT)) if v < 0.65 else phrase(r, words, 1, 4)
    elif kind == "p":
        s = fill(r, words, r.choice(SENTENCE)) if v < 0.5 else phrase(r, words, 2, 9)
    elif kind == "li":
        s = r.choice(UI) if v < 0.3 else phrase(r, words, 1, 4)
    elif kind in ("a", "td", "img"):
        s = r.choice(UI) if v < 0.5 else phrase(r, words, 1, 2 if v < 0.7 else 1)
    else:
        s = phrase(r, words, 1, 4)
    if r.random() < 0.05:
        s = s.lower()
    return "".join(c for c in s if " " <= c <= "~")
