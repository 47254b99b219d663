"""Forms of push templates: JSON columns are checked by the structs that read them, and errors name the place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError

from devices.bounded_admin import BoundedAdmin
from devices.channels import channel_name
from devices.errors import ApiError
from devices.push_services import Os
from messaging.push_templates import check_query
from messaging.template_models import AndroidChannelTemplate, ButtonTemplate, PushTemplate
from messaging.template_options import AndroidChannel, AndroidOptions, AppleOptions, read_buttons, read_options

#: an address of its own where a template's name would stand (contract.md 1)
_RESERVED = "subscribe"


def _checked(form: forms.ModelForm[Any], field: str, read: Callable[[object], object]) -> object:
    """The column's value once its reader has taken it; an emptied box means the defaults."""
    value = form.cleaned_data[field]
    if value is None:
        value = form.fields[field].initial()
    try:
        read(value)
    except msgspec.ValidationError as error:
        raise ValidationError(str(error)) from error
    return value


class PushTemplateForm(forms.ModelForm[PushTemplate]):
    """A template that can be sent."""

    platforms = forms.MultipleChoiceField(choices=Os, required=False, widget=forms.CheckboxSelectMultiple)

    class Meta:
        model = PushTemplate
        fields = "__all__"

    def clean_name(self) -> str:
        """A name that can stand in an address."""
        name: str = self.cleaned_data["name"]
        if "/" in name or name.lower() == _RESERVED:
            raise ValidationError(f"A name has no slash and is not '{_RESERVED}'.")
        return name

    def clean_channel_name(self) -> str:
        """As it is stored."""
        try:
            return channel_name(self.cleaned_data["channel_name"])
        except ApiError as error:
            raise ValidationError(error.message) from error

    def clean_segment_query(self) -> str:
        """A where clause; placeholders stand inside its quotes."""
        query: str = self.cleaned_data["segment_query"]
        try:
            check_query(query)
        except ApiError as error:
            raise ValidationError(error.message) from error
        return query

    def clean_android(self) -> object:
        """`options.android`"""
        return _checked(self, "android", lambda value: read_options(value, AndroidOptions))

    def clean_ios(self) -> object:
        """`options.ios`"""
        return _checked(self, "ios", lambda value: read_options(value, AppleOptions))

    def clean_osx(self) -> object:
        """`options.osx`"""
        return _checked(self, "osx", lambda value: read_options(value, AppleOptions))


class ButtonTemplateForm(forms.ModelForm[ButtonTemplate]):
    """Buttons that devices can show."""

    class Meta:
        model = ButtonTemplate
        fields = "__all__"

    def clean_buttons(self) -> object:
        """A list of buttons."""
        return _checked(self, "buttons", read_buttons)


class AndroidChannelTemplateForm(forms.ModelForm[AndroidChannelTemplate]):
    """Channel options that devices understand."""

    class Meta:
        model = AndroidChannelTemplate
        fields = "__all__"

    def clean_options(self) -> object:
        """Sound, vibration, light, importance, badge."""
        return _checked(self, "options", lambda value: read_options(value, AndroidChannel))


@admin.register(PushTemplate)
class PushTemplateAdmin(BoundedAdmin[PushTemplate]):
    """Templates. Saving one sends nothing."""

    form = PushTemplateForm
    list_display = ("name", "application", "channel_name", "platforms", "updated_at")
    list_select_related = ("application",)
    search_fields = ("name",)
    autocomplete_fields = ("application",)


@admin.register(ButtonTemplate)
class ButtonTemplateAdmin(BoundedAdmin[ButtonTemplate]):
    """Sets of buttons, which templates name."""

    form = ButtonTemplateForm
    list_display = ("name", "application", "platform")
    list_select_related = ("application",)
    search_fields = ("name",)
    autocomplete_fields = ("application",)


@admin.register(AndroidChannelTemplate)
class AndroidChannelTemplateAdmin(BoundedAdmin[AndroidChannelTemplate]):
    """Channel options, which templates name."""

    form = AndroidChannelTemplateForm
    list_display = ("name", "application")
    list_select_related = ("application",)
    search_fields = ("name",)
    autocomplete_fields = ("application",)
