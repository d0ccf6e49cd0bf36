/* SPDX-License-Identifier: MIT
 *
 * objects.cpp - a program in C++ whose blocks have types that only it and its debug information know:
 * contents of the standard containers, and classes of all kinds of inheritance.
 *
 * Containers tell through their allocator, which is told what it allocates by the container itself.
 */
#include <array>
#include <cstddef>
#include <cstring>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <typeinfo>
#include <unordered_map>
#include <vector>

#include <cxxabi.h>

#include "told.h"

#define KEEP __attribute__((noinline))

/* The vtable's name of a type, as people write it; kept for ever. */
static const char *name_of(const std::type_info &info)
{
    static char names[100][400];
    static unsigned count;
    char text[400];
    size_t bytes = sizeof text;
    int status;
    char *name = abi::__cxa_demangle(info.name(), nullptr, nullptr, &status);
    snprintf(text, bytes, "%s", name ? name : info.name());
    free(name);
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(names[i], text))
            return names[i];
    if (count == 100)
        abort();
    snprintf(names[count], sizeof names[0], "%s", text);
    return names[count++];
}

/* --- without virtual functions ------------------------------------------------------------------ */

struct point {
    double x, y;
};

class account
{
  public:
    explicit account(long number) : number(number) {}
    long number;
    account *next = nullptr;
    point where{};
};

struct leaf {
    leaf *left = nullptr, *right = nullptr;
    int key = 0;
    float weight = 0;
};

static account *accounts;
static leaf *leaves;

KEEP static account *make_account(long number)
{
    account *a = new account(number);
    a->next = accounts;
    accounts = a;
    tell(a, sizeof *a, "account");
    return a;
}

KEEP static void add_leaf(int key)
{
    leaf **at = &leaves;
    while (*at)
        at = key < (*at)->key ? &(*at)->left : &(*at)->right;
    *at = new leaf;
    (*at)->key = key;
    tell(*at, sizeof **at, "leaf");
}

/* --- with them ----------------------------------------------------------------------------------- */

struct shape {
    virtual ~shape() = default;
    virtual double area() const { return 0; }
    long id = 0;
};

struct circle : shape {
    double radius = 1;
    double area() const override { return 3 * radius * radius; }
};

struct named {
    virtual ~named() = default;
    const char *name = "";
};

struct labelled_square : shape, named { /* multiple */
    double side = 2;
};

struct base {
    virtual ~base() = default;
    int n = 0;
};
struct left_side : virtual base {
    int l = 0;
};
struct right_side : virtual base {
    int r = 0;
};
struct diamond : left_side, right_side { /* virtual */
    long d = 0;
};

struct data_first {
    long numbers[3] = {};
};
struct behind_data : data_first, shape { /* its vtable is first all the same */
    long more = 0;
};

static std::array<shape *, 200> shapes;
static circle *rings[20]; /* their number stands in front of the first */
static named *names[50]; /* pointers into the middle */
static base *bases[50];

KEEP static void make_shapes()
{
    for (size_t i = 0; i < shapes.size(); i++) {
        size_t bytes;
        switch (i % 4) {
        case 0:
            shapes[i] = new shape;
            bytes = sizeof(shape);
            break;
        case 1:
            shapes[i] = new circle;
            bytes = sizeof(circle);
            break;
        case 2:
            shapes[i] = new behind_data;
            bytes = sizeof(behind_data);
            break;
        default: {
            labelled_square *square = new labelled_square;
            shapes[i] = square;
            names[i / 4] = square;
            bytes = sizeof *square;
        }
        }
        shape &made = *shapes[i];
        tell(dynamic_cast<void *>(&made), bytes, name_of(typeid(made)));
    }
    for (size_t i = 0; i < 50; i++) {
        diamond *d = new diamond;
        bases[i] = d;
        tell(d, sizeof *d, "diamond");
    }
    for (size_t i = 0; i < 20; i++) {
        size_t count = i % 5 + 1;
        rings[i] = new circle[count];
        tell((size_t *)rings[i] - 1, sizeof(size_t) + count * sizeof(circle), "circle[]");
    }
}

/* --- containers ----------------------------------------------------------------------------------- */

/* Blocks of the standard containers are the standard allocator's: what they are is seen in the
 * operators new, which know the size, and in the code below, which knows what it puts where. */
static const char *expected;

KEEP void *operator new(size_t bytes)
{
    void *p = malloc(bytes);
    if (!p)
        abort();
    if (expected)
        tell(p, bytes, expected);
    return p;
}

void operator delete(void *p) noexcept
{
    if (p)
        for (unsigned i = told_count; i-- > 0;)
            if (told[i].turned == ~reinterpret_cast<uintptr_t>(p)) {
                told[i] = told[--told_count];
                break;
            }
    free(p);
}

void operator delete(void *p, size_t) noexcept
{
    operator delete(p);
}

template <typename F> KEEP static void expecting(const char *type, F f)
{
    expected = type;
    f();
    expected = nullptr;
}

static std::vector<int> numbers;
static std::vector<account> values;
static std::vector<std::unique_ptr<account>> owned;
static std::map<int, point> by_number;
static std::set<long> chosen;
static std::unordered_map<int, account *> table;
static std::list<point> points;
static std::string *text;
static std::vector<std::shared_ptr<point>> shared;
static std::vector<std::shared_ptr<circle>> made_shared;
static std::function<int(int)> call;
static std::deque<long> queue;

KEEP static void fill()
{
    expecting("int[]", [] { numbers.reserve(100); });
    expecting("account[]", [] { values.reserve(20); });
    for (int i = 0; i < 20; i++)
        values.emplace_back(i);
    expecting("std::unique_ptr<account, std::default_delete<account>>[]",
              [] { owned.reserve(30); });
    for (int i = 0; i < 30; i++)
        expecting("account", [i] { owned.push_back(std::make_unique<account>(i)); });
    expecting("std::_Rb_tree_node<std::pair<int const, point>>", [] {
        for (int i = 0; i < 100; i++)
            by_number[i] = point{1.0 * i, 2};
    });
    expecting("std::_Rb_tree_node<long>", [] {
        for (int i = 0; i < 40; i++)
            chosen.insert(i);
    });
    expecting("std::__detail::_Hash_node_base *[]", [] { table.reserve(80); });
    expecting("std::__detail::_Hash_node<std::pair<int const, account *>, false>", [] {
        for (int i = 0; i < 80; i++)
            table[i] = accounts;
    });
    expecting("std::_List_node<point>", [] {
        for (int i = 0; i < 60; i++)
            points.push_back(point{3.0 * i, 4});
    });
    expecting("std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char>>",
              [] { text = static_cast<std::string *>(operator new(sizeof(std::string))); });
    new (text) std::string;
    expecting("char[]", [] { text->assign("a text that is too long to lie in the string"); });
    expecting("std::shared_ptr<point>[]", [] { shared.reserve(25); });
    for (int i = 0; i < 25; i++) {
        point *p;
        expecting("point", [&p] { p = new point{5, 6}; });
        expecting("std::_Sp_counted_ptr<point *, (__gnu_cxx::_Lock_policy)2>",
                  [p] { shared.emplace_back(p); });
    }
    expecting("std::shared_ptr<circle>[]", [] { made_shared.reserve(25); });
    expecting("std::_Sp_counted_ptr_inplace<circle, std::allocator<void>, "
              "(__gnu_cxx::_Lock_policy)2>",
              [] {
                  for (int i = 0; i < 25; i++)
                      made_shared.push_back(std::make_shared<circle>());
              });
    long a = 1, b = 2, c = 3;
    expecting("(lambda)", [&] { call = [a, b, c](int n) { return (int)(a + b + c) + n; }; });
}

KEEP static void lose()
{
    for (int i = 0; i < 20; i++) {
        account *lost = new account(i);
        tell(lost, sizeof *lost, "account");
    }
}

int main()
{
    for (long i = 0; i < 100; i++)
        make_account(i);
    for (int i = 0; i < 100; i++)
        add_leaf(i * 7919 % 101);
    make_shapes();
    fill();
    lose();
    tell_all();
    stay();
    return 0;
}
