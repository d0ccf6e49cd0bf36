// SPDX-License-Identifier: MIT
//
// shapes.cpp - a plugin whose types and allocation sites exist only while it is loaded.
//
// Context: test victim.
#include <stdexcept>
#include <string>
#include <vector>

namespace shapes {
struct Shape {
    virtual ~Shape() = default;
    virtual double area() const = 0;
};
struct Square : Shape {
    explicit Square(double s) : side(s) {}
    double area() const override { return side * side; }
    double side;
    std::string name = "a square whose name does not fit into the object";
};
} // namespace shapes

extern "C" __attribute__((noinline)) void *plugin_make(double side)
{
    if (side < 0)
        throw std::invalid_argument("negative side " + std::to_string(static_cast<int>(side)));
    return new shapes::Square(side);
}

extern "C" double plugin_drop(void *shape)
{
    auto *s = static_cast<shapes::Square *>(shape);
    double area = s->area();
    delete s;
    return area;
}
