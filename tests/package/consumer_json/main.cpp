#include <shunt/json.hpp>

#include <nlohmann/json.hpp>

int main() { return nlohmann::json::parse("[0]").at(0); }
