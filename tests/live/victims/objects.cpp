// SPDX-License-Identifier: MIT
//
// objects.cpp - C++ as it is: virtual classes, templates, exceptions across threads, plugins that
// come and go.
//
// Context: test victim. Usage: objects PLUGIN [ROUNDS]; prints what depends on nothing but its
// arguments. With ROUNDS 0 it waits for input after its objects are made: "plugin" loads and makes
// 50 squares, "unload" drops them and unloads, anything else only answers.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace zoo {
struct Animal {
    virtual ~Animal() = default;
    virtual std::string sound() const = 0;
    long legs = 4;
};
struct Cat : Animal {
    std::string sound() const override { return "meow"; }
    char fur[40] = "soft";
};
template <class T> struct Cage : Animal {
    std::string sound() const override { return "rattle " + inside.sound(); }
    T inside;
};
} // namespace zoo

static std::vector<std::unique_ptr<zoo::Animal>> animals;

extern "C" __attribute__((noinline)) void make_animals(int count)
{
    for (int i = 0; i < count; i++) {
        animals.push_back(std::make_unique<zoo::Cat>());
        if (i % 2)
            animals.push_back(std::make_unique<zoo::Cage<zoo::Cat>>());
    }
}

class Failure : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

static int descend(int depth, const std::string &path)
{
    std::string here = path + "/" + std::to_string(depth);
    if (depth == 0)
        throw Failure(here);
    return descend(depth - 1, here) + static_cast<int>(here.size());
}

struct Plugin {
    void *handle;
    void *(*make)(double);
    double (*drop)(void *);
    explicit Plugin(const char *path) : handle(dlopen(path, RTLD_NOW | RTLD_LOCAL))
    {
        if (!handle)
            throw std::runtime_error(dlerror());
        make = reinterpret_cast<void *(*)(double)>(dlsym(handle, "plugin_make"));
        drop = reinterpret_cast<double (*)(void *)>(dlsym(handle, "plugin_drop"));
    }
    ~Plugin() { dlclose(handle); }
};

static std::string in_thread(const char *path, int number)
{
    std::string text;
    try {
        descend(number % 30 + 5, "t" + std::to_string(number));
    } catch (const Failure &f) {
        text = f.what();
    }
    Plugin plugin(path);
    try {
        plugin.make(-number - 1);
    } catch (const std::invalid_argument &e) {
        text += std::string("; ") + e.what();
    }
    double sum = 0;
    for (int i = 0; i < 100; i++)
        sum += plugin.drop(plugin.make(i));
    throw Failure(text + "; " + std::to_string(sum)); // to whoever waits for the future
}

static void rounds(const char *path, int count)
{
    std::map<std::string, int> seen;
    for (int r = 0; r < count; r++) {
        std::vector<std::future<std::string>> results;
        for (int t = 0; t < 4; t++)
            results.push_back(std::async(std::launch::async, in_thread, path, r * 4 + t));
        for (auto &result : results)
            try {
                result.get();
            } catch (const Failure &f) {
                seen[f.what()]++;
            }
    }
    for (const auto &[text, times] : seen)
        std::cout << times << ' ' << text << '\n';
}

static void converse(const char *path)
{
    std::string line;
    std::unique_ptr<Plugin> plugin;
    std::vector<void *> squares;
    std::cout << "ready" << std::endl;
    while (std::getline(std::cin, line)) {
        if (line == "plugin") {
            plugin = std::make_unique<Plugin>(path);
            for (int i = 0; i < 50; i++)
                squares.push_back(plugin->make(i));
        } else if (line == "unload") {
            for (void *s : squares)
                plugin->drop(s);
            squares.clear();
            plugin.reset();
        }
        std::cout << "done " << squares.size() << std::endl;
    }
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    int count = argc > 2 ? std::atoi(argv[2]) : 0;
    make_animals(1000);
    if (count)
        rounds(argv[1], count);
    else
        converse(argv[1]);
    std::cout << animals.back()->sound() << '\n';
    return count ? 17 : 0;
}
