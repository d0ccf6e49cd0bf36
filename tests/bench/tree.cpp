// SPDX-License-Identifier: MIT
//
// tree.cpp - builds random trees by recursion through several functions, with strings and vectors.
//
// Context: benchmark. Usage: tree LEAVES [DEPTH].
// What it is hard on: hundreds of thousands of distinct deep call stacks, so that whatever
// remembers stacks meets new ones all the time.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "measure.h"

#define OPAQUE __attribute__((noinline))

namespace {
struct Node {
    std::string name;
    std::vector<std::unique_ptr<Node>> children;
    std::vector<int> values;
};
using Owned = std::unique_ptr<Node>;
unsigned long state = 88172645463325252ul;
unsigned long made;

OPAQUE Owned grow(int depth);

OPAQUE Owned leaf(int depth)
{
    auto node = std::make_unique<Node>();
    node->name = "a leaf with a name of some length " + std::to_string(depth);
    node->values.assign(measure_draw(&state) % 8, depth);
    made++;
    return node;
}

OPAQUE void adopt(Node &parent, Owned child)
{
    parent.children.push_back(std::move(child));
}

OPAQUE Owned narrow(int depth)
{
    auto node = leaf(depth);
    adopt(*node, grow(depth - 1));
    return node;
}

OPAQUE Owned wide(int depth)
{
    auto node = std::make_unique<Node>();
    node->name = std::string(20 + depth, 'w');
    adopt(*node, grow(depth - 1));
    adopt(*node, grow(depth - 2));
    if (measure_draw(&state) % 4 == 0)
        adopt(*node, grow(depth - 3));
    made++;
    return node;
}

OPAQUE Owned named(int depth)
{
    std::map<int, std::string> names;
    for (int i = 0; i < 3; i++)
        names[i] = "name number " + std::to_string(i) + " of the node";
    auto node = grow(depth - 1);
    node->name = names[depth % 3];
    return node;
}

OPAQUE Owned grow(int depth)
{
    if (depth <= 0)
        return leaf(depth);
    switch (measure_draw(&state) % 5) {
    case 0: return narrow(depth);
    case 1: return named(depth);
    default: return wide(depth);
    }
}

OPAQUE unsigned long weigh(const Node &node)
{
    unsigned long sum = node.name.size() + node.values.size();
    for (const auto &child : node.children)
        sum += weigh(*child);
    return sum;
}
} // namespace

int main(int argc, char **argv)
{
    unsigned long target = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1500000, sum = 0;
    int depth = argc > 2 ? std::atoi(argv[2]) : 24;
    double began = measure_begin(), waited = 0;
    std::vector<Owned> forest;
    for (unsigned long total = 0; total < target; total += made) {
        made = 0;
        forest.push_back(grow(depth));
        if (forest.size() > 4) // the oldest half of the trees goes as new ones come
            forest.erase(forest.begin());
    }
    for (const auto &tree : forest)
        sum += weigh(*tree);
    waited = measure_peak();
    forest.clear();
    measure_report(measure_now() - began - waited, sum);
}
