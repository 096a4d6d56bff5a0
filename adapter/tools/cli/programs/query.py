"""Parse a tool call into Pydantic models."""

from enum import Enum
from typing import List, Union

from pydantic import BaseModel

import openai
from adapter import OpenAI


class Table(str, Enum):
    customers = "customers"
    orders = "orders"
    products = "products"


class Column(str, Enum):
    id = "id"
    status = "status"
    ordered_at = "ordered_at"
    shipped_at = "shipped_at"
    expected_delivery_date = "expected_delivery_date"
    delivered_at = "delivered_at"
    canceled_at = "canceled_at"


class Operator(str, Enum):
    eq = "="
    ne = "!="
    lt = "<"
    le = "<="
    gt = ">"
    ge = ">="


class OrderBy(str, Enum):
    asc = "asc"
    desc = "desc"


class DynamicValue(BaseModel):
    column_name: str


class Condition(BaseModel):
    column: str
    operator: Operator
    value: Union[str, int, DynamicValue]


class Query(BaseModel):
    table_name: Table
    columns: List[Column]
    conditions: List[Condition]
    order_by: OrderBy


client = OpenAI()

completion = client.chat.completions.parse(
    model="gpt-4o-2024-08-06",
    messages=[
        {
            "role": "system",
            "content": "You are a helpful assistant. The current date is August 6, 2024. \
You help users query for the data they are looking for by calling the query function.",
        },
        {
            "role": "user",
            "content": "look up all my orders in november of last year \
that were fulfilled but not delivered on time",
        },
    ],
    tools=[
        openai.pydantic_function_tool(Query),
    ],
)

for call in completion.choices[0].message.tool_calls or []:
    query = call.function.parsed_arguments
    assert isinstance(query, Query)
    columns = ", ".join(column.value for column in query.columns)
    print(f"{query.table_name.value}, {query.order_by.value}: {columns}")
    for condition in query.conditions:
        print(f"  {condition.column} {condition.operator.value} {condition.value!r}")
